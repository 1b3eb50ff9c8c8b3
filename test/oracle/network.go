package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"time"
)

// handshakeInput is a client's pair, and the CA that the server asks for.
type handshakeInput struct {
	CertificatePem string `json:"certificatePem"`
	PrivateKeyPem  string `json:"privateKeyPem"`
	CaPem          string `json:"caPem"`
	ServerCertPem  string `json:"serverCertificatePem"`
	ServerKeyPem   string `json:"serverPrivateKeyPem"`
}

type handshakeAnswer struct {
	ServerError       string   `json:"serverError"`
	ClientError       string   `json:"clientError"`
	CommonName        string   `json:"commonName"`
	OrganizationCount int      `json:"organizationCount"`
	MessageBytes      int      `json:"messageBytes"`
	Organizations     []string `json:"organizations"`
}

// handshake shows a client certificate to a Go server that requires one.
func handshake(raw []byte) (any, error) {
	var input handshakeInput
	if err := json.Unmarshal(raw, &input); err != nil {
		return nil, err
	}
	client, err := tls.X509KeyPair([]byte(input.CertificatePem), []byte(input.PrivateKeyPem))
	if err != nil {
		return nil, err
	}
	server, err := tls.X509KeyPair([]byte(input.ServerCertPem), []byte(input.ServerKeyPem))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(input.CaPem)) {
		return nil, errors.New("no CA certificate")
	}
	near, far := net.Pipe()
	deadline := time.Now().Add(20 * time.Second)
	_ = near.SetDeadline(deadline)
	_ = far.SetDeadline(deadline)
	serverConn := tls.Server(far, &tls.Config{
		Certificates: []tls.Certificate{server},
		ClientCAs:    pool,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   tls.VersionTLS13,
		// Otherwise the server would wait, on this unbuffered pipe, for a client that reads tickets.
		SessionTicketsDisabled: true,
	})
	clientConn := tls.Client(near, &tls.Config{
		Certificates:       []tls.Certificate{client},
		InsecureSkipVerify: true,
		MinVersion:         tls.VersionTLS13,
	})
	failed := make(chan error, 1)
	go func() { failed <- clientConn.Handshake() }()
	answer := handshakeAnswer{}
	if err := serverConn.Handshake(); err != nil {
		answer.ServerError = err.Error()
		_ = far.Close()
	}
	if err := <-failed; err != nil {
		answer.ClientError = err.Error()
	}
	if peers := serverConn.ConnectionState().PeerCertificates; len(peers) == 1 {
		answer.CommonName = peers[0].Subject.CommonName
		answer.OrganizationCount = len(peers[0].Subject.Organization)
		answer.Organizations = peers[0].Subject.Organization
		// Request context, list length, entry length, extensions length (RFC 8446 section 4.4.2).
		answer.MessageBytes = 1 + 3 + 3 + len(peers[0].Raw) + 2
	}
	return answer, nil
}

type dialAnswer struct {
	Dial string `json:"dial"`
	Get  string `json:"get"`
}

// dial reports Go's error texts for a TLS dial and for an HTTPS GET, with the CA bundle on standard input.
func dial(args []string, bundle []byte) (any, error) {
	flags := flag.NewFlagSet("dial", flag.ContinueOnError)
	address := flags.String("address", "", "host:port")
	url := flags.String("url", "", "URL to GET")
	minimum := flags.Int("min", 0x0303, "lowest TLS version")
	maximum := flags.Int("max", 0x0304, "highest TLS version")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	// A proxy of the environment must not answer in the server's place.
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		_ = os.Unsetenv(name)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	config := &tls.Config{RootCAs: pool, MinVersion: uint16(*minimum), MaxVersion: uint16(*maximum)}
	answer := dialAnswer{}
	if *address != "" {
		dialer := &net.Dialer{Timeout: 10 * time.Second}
		conn, err := tls.DialWithDialer(dialer, "tcp", *address, config)
		if err != nil {
			answer.Dial = err.Error()
		} else {
			_ = conn.Close()
		}
	}
	if *url != "" {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config}, Timeout: 10 * time.Second}
		response, err := client.Get(*url)
		if err != nil {
			answer.Get = err.Error()
		} else {
			_ = response.Body.Close()
		}
	}
	return answer, nil
}
