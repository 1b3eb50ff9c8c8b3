package main

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func client(ca []byte) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &http.Client{
		Timeout:       time.Minute,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func call(c *http.Client, method, address, mediaType string, body io.Reader, headers map[string]string, into any) error {
	request, err := http.NewRequest(method, address, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", mediaType)
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if location, ok := into.(*string); ok {
		*location = response.Header.Get("Location")
		return nil
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("%s: %s", response.Status, data)
	}
	return json.Unmarshal(data, into)
}

// tokenAnswer is that of the token endpoint.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	ExpiresIn    int64  `json:"expires_in"`
}

type provider struct {
	given     flags
	http      *http.Client
	Authorize string `json:"authorization_endpoint"`
	Token     string `json:"token_endpoint"`
}

// oidcToken is the token for the requested audience, or the ID token.
func oidcToken(given flags) (string, error) {
	ca, err := base64.StdEncoding.DecodeString(given["ca-bundle-data"])
	if err != nil {
		return "", err
	}
	scopes := strings.Split(given["scopes"], ",")
	sort.Strings(scopes)
	key := sessionKey{
		Issuer: given["issuer"], ClientID: given["client-id"], Scopes: scopes,
		RedirectURI: "http://localhost:0/callback", UpstreamProviderName: given["upstream-identity-provider-name"],
	}
	path := configPath("sessions.yaml")
	if value, ok := given["session-cache"]; ok {
		path = value
	}
	p := &provider{given: given, http: client(ca)}
	if err := call(p.http, "GET", given["issuer"]+"/.well-known/openid-configuration", "", nil, nil, p); err != nil {
		return "", err
	}
	var held tokens
	withSession(path, key, func(t *tokens) { held = *t })
	if audience := given["request-audience"]; audience != "" {
		if held.Access == nil || time.Until(held.Access.Expiry.Time) <= 10*time.Second {
			if held, err = p.renewed(held, scopes); err != nil {
				return "", err
			}
		}
		withSession(path, key, func(t *tokens) { *t = held })
		var answer tokenAnswer
		err = p.post(url.Values{
			"client_id": {given["client-id"]}, "grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"audience": {audience}, "subject_token": {held.Access.Token},
			"subject_token_type":   {"urn:ietf:params:oauth:token-type:access_token"},
			"requested_token_type": {"urn:ietf:params:oauth:token-type:jwt"},
		}, &answer)
		return answer.AccessToken, err
	}
	if held.ID == nil || time.Until(held.ID.Expiry.Time) <= 10*time.Minute {
		if held, err = p.renewed(held, scopes); err != nil {
			return "", err
		}
		withSession(path, key, func(t *tokens) { *t = held })
	}
	return held.ID.Token, nil
}

func (p *provider) post(form url.Values, into *tokenAnswer) error {
	return call(p.http, "POST", p.Token, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()), nil, into)
}

// renewed refreshes, or logs in with the password where that fails.
func (p *provider) renewed(held tokens, scopes []string) (tokens, error) {
	var answer tokenAnswer
	if held.Refresh != nil {
		err := p.post(url.Values{
			"client_id": {p.given["client-id"]}, "grant_type": {"refresh_token"}, "refresh_token": {held.Refresh.Token},
		}, &answer)
		if err == nil {
			fmt.Fprintln(os.Stderr, "refreshed")
			if answer.RefreshToken == "" {
				answer.RefreshToken = held.Refresh.Token
			}
			return answer.tokens()
		}
		fmt.Fprintln(os.Stderr, "refresh failed:", err)
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	verifier, state := hex.EncodeToString(random), hex.EncodeToString(random[:16])
	challenge := sha256.Sum256([]byte(verifier))
	redirect := "http://127.0.0.1:0/callback"
	query := url.Values{
		"client_id": {p.given["client-id"]}, "response_type": {"code"}, "redirect_uri": {redirect}, "scope": {strings.Join(scopes, " ")},
		"state": {state}, "nonce": {state}, "code_challenge_method": {"S256"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}
	if name := p.given["upstream-identity-provider-name"]; name != "" {
		query.Set("pinniped_idp_name", name)
		query.Set("pinniped_idp_type", p.given["upstream-identity-provider-type"])
	}
	var location string
	headers := map[string]string{"Pinniped-Username": os.Getenv("PINNIPED_USERNAME"), "Pinniped-Password": os.Getenv("PINNIPED_PASSWORD")}
	if err := call(p.http, "GET", p.Authorize+"?"+query.Encode(), "", bytes.NewReader(nil), headers, &location); err != nil {
		return tokens{}, err
	}
	target, err := url.Parse(location)
	if err != nil || target.Query().Get("code") == "" {
		return tokens{}, errors.New("no code")
	}
	err = p.post(url.Values{
		"client_id": {p.given["client-id"]}, "grant_type": {"authorization_code"}, "code": {target.Query().Get("code")},
		"redirect_uri": {redirect}, "code_verifier": {verifier},
	}, &answer)
	if err != nil {
		return tokens{}, err
	}
	fmt.Fprintln(os.Stderr, "logged in")
	return answer.tokens()
}

func (a *tokenAnswer) tokens() (tokens, error) {
	parts := strings.Split(a.IDToken, ".")
	if len(parts) != 3 {
		return tokens{}, errors.New("received response missing ID token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return tokens{}, err
	}
	claims := map[string]any{}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return tokens{}, err
	}
	exp, _ := claims["exp"].(float64)
	made := tokens{
		Access: &accessToken{a.AccessToken, a.TokenType, metav1.NewTime(time.Now().Add(time.Duration(a.ExpiresIn) * time.Second))},
		ID:     &idToken{a.IDToken, metav1.Unix(int64(exp), 0), claims},
	}
	if a.RefreshToken != "" {
		made.Refresh = &refreshToken{a.RefreshToken}
	}
	return made, nil
}
