package main

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"flag"
	"os"
	"time"
)

type attribute struct {
	Type  string `json:"type"`
	Tag   int    `json:"tag"`
	Value string `json:"value"`
}

type certificateAnswer struct {
	SubjectHex            string        `json:"subjectHex"`
	IssuerHex             string        `json:"issuerHex"`
	CommonName            string        `json:"commonName"`
	Organizations         []string      `json:"organizations"`
	RDNs                  [][]attribute `json:"rdns"`
	SerialHex             string        `json:"serialHex"`
	SerialSign            int           `json:"serialSign"`
	NotBeforeUnix         int64         `json:"notBeforeUnix"`
	NotAfterUnix          int64         `json:"notAfterUnix"`
	ExtKeyUsage           []int         `json:"extKeyUsage"`
	IsCA                  bool          `json:"isCA"`
	BasicConstraintsValid bool          `json:"basicConstraintsValid"`
	KeyUsage              int           `json:"keyUsage"`
	AuthorityKeyIDHex     string        `json:"authorityKeyIdHex"`
	SubjectKeyIDHex       string        `json:"subjectKeyIdHex"`
	SignatureAlgorithm    string        `json:"signatureAlgorithm"`
	PublicKeyAlgorithm    string        `json:"publicKeyAlgorithm"`
	DNSNames              []string      `json:"dnsNames"`
	IPAddresses           []string      `json:"ipAddresses"`
	Extensions            []extension   `json:"extensions"`
	SHA256Hex             string        `json:"sha256Hex"`
	// Empty if the certificate chains to the CA file, else Go's error text. Only with -ca.
	VerifyError *string `json:"verifyError,omitempty"`
}

type extension struct {
	ID       string `json:"id"`
	Critical bool   `json:"critical"`
}

// rawAttribute keeps the string type, which pkix.AttributeTypeAndValue drops.
type rawAttribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type rawRDN []rawAttribute

func certificate(args []string, input []byte) (any, error) {
	flags := flag.NewFlagSet("certificate", flag.ContinueOnError)
	caFile := flags.String("ca", "", "PEM bundle to verify against")
	usage := flags.String("usage", "client", "extended key usage to verify: client, server or any")
	at := flags.Int64("at", 0, "Unix time to verify at; 0: now")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	block, _ := pem.Decode(input)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	answer, err := describe(parsed)
	if err != nil {
		return nil, err
	}
	if *caFile != "" {
		text, err := verify(parsed, *caFile, *usage, *at)
		if err != nil {
			return nil, err
		}
		answer.VerifyError = &text
	}
	return answer, nil
}

func describe(parsed *x509.Certificate) (*certificateAnswer, error) {
	rdns, err := structure(parsed.RawSubject)
	if err != nil {
		return nil, err
	}
	fingerprint := sha256.Sum256(parsed.Raw)
	answer := &certificateAnswer{
		SubjectHex:            hex.EncodeToString(parsed.RawSubject),
		IssuerHex:             hex.EncodeToString(parsed.RawIssuer),
		CommonName:            parsed.Subject.CommonName,
		Organizations:         append([]string{}, parsed.Subject.Organization...),
		RDNs:                  rdns,
		SerialHex:             parsed.SerialNumber.Text(16),
		SerialSign:            parsed.SerialNumber.Sign(),
		NotBeforeUnix:         parsed.NotBefore.Unix(),
		NotAfterUnix:          parsed.NotAfter.Unix(),
		ExtKeyUsage:           []int{},
		IsCA:                  parsed.IsCA,
		BasicConstraintsValid: parsed.BasicConstraintsValid,
		KeyUsage:              int(parsed.KeyUsage),
		AuthorityKeyIDHex:     hex.EncodeToString(parsed.AuthorityKeyId),
		SubjectKeyIDHex:       hex.EncodeToString(parsed.SubjectKeyId),
		SignatureAlgorithm:    parsed.SignatureAlgorithm.String(),
		PublicKeyAlgorithm:    parsed.PublicKeyAlgorithm.String(),
		DNSNames:              append([]string{}, parsed.DNSNames...),
		IPAddresses:           []string{},
		Extensions:            []extension{},
		SHA256Hex:             hex.EncodeToString(fingerprint[:]),
	}
	for _, usage := range parsed.ExtKeyUsage {
		answer.ExtKeyUsage = append(answer.ExtKeyUsage, int(usage))
	}
	for _, address := range parsed.IPAddresses {
		answer.IPAddresses = append(answer.IPAddresses, address.String())
	}
	for _, e := range parsed.Extensions {
		answer.Extensions = append(answer.Extensions, extension{ID: e.Id.String(), Critical: e.Critical})
	}
	return answer, nil
}

func structure(raw []byte) ([][]attribute, error) {
	var sequence pkix.RDNSequence
	if _, err := asn1.Unmarshal(raw, &sequence); err != nil {
		return nil, err
	}
	var elements []asn1.RawValue
	if _, err := asn1.Unmarshal(raw, &elements); err != nil {
		return nil, err
	}
	rdns := [][]attribute{}
	for _, element := range elements {
		var set rawRDN
		if _, err := asn1.UnmarshalWithParams(element.FullBytes, &set, "set"); err != nil {
			return nil, err
		}
		attributes := []attribute{}
		for _, a := range set {
			attributes = append(attributes, attribute{a.Type.String(), a.Value.Tag, string(a.Value.Bytes)})
		}
		rdns = append(rdns, attributes)
	}
	return rdns, nil
}

func verify(parsed *x509.Certificate, caFile, usage string, at int64) (string, error) {
	bundle, err := os.ReadFile(caFile)
	if err != nil {
		return "", err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return "", errors.New("no certificate in the CA file")
	}
	usages := map[string]x509.ExtKeyUsage{
		"client": x509.ExtKeyUsageClientAuth,
		"server": x509.ExtKeyUsageServerAuth,
		"any":    x509.ExtKeyUsageAny,
	}
	options := x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usages[usage]}}
	if at != 0 {
		options.CurrentTime = time.Unix(at, 0)
	}
	if _, err := parsed.Verify(options); err != nil {
		return err.Error(), nil
	}
	return "", nil
}
