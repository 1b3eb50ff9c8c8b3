// Command foreign-cli shares its cache files with lanyard as the CLI does that people use today: an independent program, in Go and
// with the Kubernetes libraries, that knows of contract cli.md 3 to 8 what those files need and none of chapter 13.
//
//	foreign-cli login oidc|static --FLAG=VALUE ...
//	foreign-cli key login ...    prints the cache key of that call
//
// It logs in with the user name and the password of the environment.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// status is the credential, in the file and in an ExecCredential.
type status struct {
	ExpirationTimestamp   *metav1.Time `json:"expirationTimestamp,omitempty"`
	Token                 string       `json:"token,omitempty"`
	ClientCertificateData string       `json:"clientCertificateData,omitempty"`
	ClientKeyData         string       `json:"clientKeyData,omitempty"`
}

// cluster is what client-go tells in KUBERNETES_EXEC_INFO.
type cluster struct {
	Server                   string          `json:"server"`
	TLSServerName            string          `json:"tls-server-name,omitempty"`
	InsecureSkipTLSVerify    bool            `json:"insecure-skip-tls-verify,omitempty"`
	CertificateAuthorityData []byte          `json:"certificate-authority-data,omitempty"`
	ProxyURL                 string          `json:"proxy-url,omitempty"`
	DisableCompression       bool            `json:"disable-compression,omitempty"`
	Config                   json.RawMessage `json:"config"`
}

type flags map[string]string

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 2 && args[0] == "key" {
		key, err := cacheKey(args[1:], parse(args[3:]))
		fmt.Println(key)
		return err
	}
	if len(args) < 2 || args[0] != "login" {
		return fmt.Errorf("only login oidc and login static are known")
	}
	given := parse(args[2:])
	path := configPath("credentials.yaml")
	if value, ok := given["credential-cache"]; ok {
		path = value
	}
	key, err := cacheKey(args, given)
	if err != nil {
		return err
	}
	if held := findCredential(path, key); held != nil {
		fmt.Fprintln(os.Stderr, "from the cache")
		return show(held)
	}
	token := given["token"]
	if args[1] == "oidc" {
		if token, err = oidcToken(given); err != nil {
			return fmt.Errorf("could not log in: %w", err)
		}
	}
	credential, err := exchangeAtConcierge(given, token)
	if err != nil {
		return err
	}
	storeCredential(path, key, credential)
	fmt.Fprintln(os.Stderr, "a new one")
	return show(credential)
}

func parse(args []string) flags {
	given := flags{}
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		given[name] = value
	}
	return given
}

// cacheKey is the SHA-256 of Go's own JSON, line end included.
func cacheKey(args []string, given flags) (string, error) {
	var info struct {
		APIVersion string `json:"apiVersion"`
		Spec       struct {
			Cluster *cluster `json:"cluster"`
		} `json:"spec"`
	}
	if text := os.Getenv("KUBERNETES_EXEC_INFO"); text != "" {
		if err := json.Unmarshal([]byte(text), &info); err != nil || info.APIVersion != "client.authentication.k8s.io/v1beta1" {
			info.Spec.Cluster = nil
		}
	}
	var key any = struct {
		Args    []string `json:"args"`
		Cluster *cluster `json:"cluster"`
	}{args, info.Spec.Cluster}
	if args[1] == "static" {
		key = struct {
			Args    []string `json:"args"`
			Token   string   `json:"token"`
			Cluster *cluster `json:"cluster"`
		}{args, given["token"], info.Spec.Cluster}
	}
	hash := sha256.New()
	if err := json.NewEncoder(hash).Encode(key); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func configPath(name string) string {
	if folder := os.Getenv("XDG_CONFIG_HOME"); folder != "" {
		return filepath.Join(folder, "pinniped", name)
	}
	return filepath.Join(os.Getenv("HOME"), ".config", "pinniped", name)
}

func show(credential *status) error {
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"kind":       "ExecCredential",
		"apiVersion": "client.authentication.k8s.io/v1beta1",
		"spec":       map[string]bool{"interactive": false},
		"status":     credential,
	})
}

func exchangeAtConcierge(given flags, token string) (*status, error) {
	suffix := given["concierge-api-group-suffix"]
	ca, err := base64.StdEncoding.DecodeString(given["concierge-ca-bundle-data"])
	if err != nil {
		return nil, err
	}
	kind := map[string]string{"jwt": "JWTAuthenticator", "webhook": "WebhookAuthenticator"}[given["concierge-authenticator-type"]]
	body, err := json.Marshal(map[string]any{
		"kind":       "TokenCredentialRequest",
		"apiVersion": "login.concierge." + suffix + "/v1alpha1",
		"metadata":   map[string]any{"creationTimestamp": nil},
		"spec": map[string]any{"token": token, "authenticator": map[string]string{
			"apiGroup": "authentication.concierge." + suffix, "kind": kind, "name": given["concierge-authenticator-name"],
		}},
		"status": struct{}{},
	})
	if err != nil {
		return nil, err
	}
	url := given["concierge-endpoint"] + "/apis/login.concierge." + suffix + "/v1alpha1/tokencredentialrequests"
	var answer struct {
		Status struct {
			Message    *string `json:"message"`
			Credential *status `json:"credential"`
		} `json:"status"`
	}
	if err := call(client(ca), "POST", url, "application/json", bytes.NewReader(body), nil, &answer); err != nil {
		return nil, fmt.Errorf("could not login: %w", err)
	}
	if answer.Status.Message != nil || answer.Status.Credential == nil {
		return nil, fmt.Errorf("login failed")
	}
	return answer.Status.Credential, nil
}

func expired(end *metav1.Time) bool { return end == nil || end.Time.Before(time.Now()) }
