package main

import (
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const apiVersion = "config.supervisor.pinniped.dev/v1alpha1"

type credentialFile struct {
	metav1.TypeMeta `json:",inline"`
	Entries         []credentialEntry `json:"credentials"`
}

type credentialEntry struct {
	Key               string      `json:"key"`
	CreationTimestamp metav1.Time `json:"creationTimestamp"`
	LastUsedTimestamp metav1.Time `json:"lastUsedTimestamp"`
	Credential        *status     `json:"credential"`
}

type sessionFile struct {
	metav1.TypeMeta `json:",inline"`
	Entries         []sessionEntry `json:"sessions"`
}

type sessionEntry struct {
	Key               sessionKey  `json:"key"`
	CreationTimestamp metav1.Time `json:"creationTimestamp"`
	LastUsedTimestamp metav1.Time `json:"lastUsedTimestamp"`
	Tokens            tokens      `json:"tokens"`
}

type sessionKey struct {
	Issuer               string   `json:"issuer"`
	ClientID             string   `json:"clientID"`
	Scopes               []string `json:"scopes"`
	RedirectURI          string   `json:"redirect_uri"`
	UpstreamProviderName string   `json:"upstream_provider_name,omitempty"`
}

type tokens struct {
	Access  *accessToken  `json:"access,omitempty"`
	Refresh *refreshToken `json:"refresh,omitempty"`
	ID      *idToken      `json:"id,omitempty"`
}

type accessToken struct {
	Token  string      `json:"token"`
	Type   string      `json:"type,omitempty"`
	Expiry metav1.Time `json:"expiryTimestamp"`
}

type refreshToken struct {
	Token string `json:"token"`
}

type idToken struct {
	Token  string         `json:"token"`
	Expiry metav1.Time    `json:"expiryTimestamp"`
	Claims map[string]any `json:"claims,omitempty"`
}

// locked runs the work while nobody else uses the file: flock on FILE.lock, asked for every 10 ms for 10 s.
func locked(path string, work func()) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return
	}
	defer lock.Close()
	for try := 0; syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil; try++ {
		if try == 1000 {
			os.Stderr.WriteString("the lock is held\n")
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	work()
}

// read takes whatever it does not understand for empty, as the program in use does, but tells.
func read(path, kind string, meta *metav1.TypeMeta, file any) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(data, file)
	}
	if (err != nil && !os.IsNotExist(err)) || (err == nil && (meta.APIVersion != apiVersion || meta.Kind != kind)) {
		os.Stderr.WriteString("failed to read cache, resetting\n")
		reflect.ValueOf(file).Elem().SetZero()
	}
	*meta = metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}
}

// write overwrites in place, which is not atomic.
func write(path string, file any) {
	data, err := yaml.Marshal(file)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		os.Stderr.WriteString("could not write cache: " + err.Error() + "\n")
	}
}

func withCredentials(path string, work func(*credentialFile)) {
	if path == "" {
		return
	}
	locked(path, func() {
		file := &credentialFile{}
		read(path, "CredentialCache", &file.TypeMeta, file)
		prune := func() {
			kept := []credentialEntry{}
			for _, entry := range file.Entries {
				if entry.Credential != nil && !expired(entry.Credential.ExpirationTimestamp) &&
					time.Since(entry.CreationTimestamp.Time) < time.Hour {
					kept = append(kept, entry)
				}
			}
			file.Entries = kept
		}
		prune()
		work(file)
		prune()
		sort.SliceStable(file.Entries, func(i, j int) bool {
			return file.Entries[i].CreationTimestamp.Before(&file.Entries[j].CreationTimestamp)
		})
		write(path, file)
	})
}

func findCredential(path, key string) (found *status) {
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	withCredentials(path, func(file *credentialFile) {
		for i := range file.Entries {
			if file.Entries[i].Key == key {
				file.Entries[i].LastUsedTimestamp = metav1.Now()
				found = file.Entries[i].Credential
			}
		}
	})
	return found
}

func storeCredential(path, key string, credential *status) {
	withCredentials(path, func(file *credentialFile) {
		now := metav1.Now()
		for i := range file.Entries {
			if file.Entries[i].Key == key {
				file.Entries[i].LastUsedTimestamp = now
				file.Entries[i].Credential = credential
				return
			}
		}
		file.Entries = append(file.Entries, credentialEntry{key, now, now, credential})
	})
}

// withSession hands the tokens of a session to the work, which may change them.
func withSession(path string, key sessionKey, work func(*tokens)) {
	locked(path, func() {
		file := &sessionFile{}
		read(path, "SessionCache", &file.TypeMeta, file)
		now := metav1.Now()
		index := -1
		for i := range file.Entries {
			held := &file.Entries[i].Tokens
			if held.Access != nil && expired(&held.Access.Expiry) {
				held.Access = nil
			}
			if held.ID != nil && expired(&held.ID.Expiry) {
				held.ID = nil
			}
			if reflect.DeepEqual(file.Entries[i].Key, key) {
				index = i
			}
		}
		if index < 0 {
			index = len(file.Entries)
			file.Entries = append(file.Entries, sessionEntry{Key: key, CreationTimestamp: now})
		}
		file.Entries[index].LastUsedTimestamp = now
		work(&file.Entries[index].Tokens)
		kept := []sessionEntry{}
		for _, entry := range file.Entries {
			if entry.Tokens != (tokens{}) && time.Since(entry.LastUsedTimestamp.Time) < 90*24*time.Hour {
				kept = append(kept, entry)
			}
		}
		file.Entries = kept
		write(path, file)
	})
}
