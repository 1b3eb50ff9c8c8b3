package main

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
)

// requestAnswer is what Go, and with it the cluster's signer, reads from a PKCS#10 request.
type requestAnswer struct {
	CommonName         string   `json:"commonName"`
	Organizations      []string `json:"organizations"`
	SubjectHex         string   `json:"subjectHex"`
	RewrittenHex       string   `json:"rewrittenHex"`
	PublicKeyInfoHex   string   `json:"publicKeyInfoHex"`
	SignatureAlgorithm string   `json:"signatureAlgorithm"`
	SignatureError     string   `json:"signatureError,omitempty"`
}

// request reads one PEM request and checks its signature.
func request(input []byte) (any, error) {
	block, rest := pem.Decode(input)
	if block == nil || len(rest) != 0 {
		return nil, errors.New("not one PEM block")
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	rewritten, err := asn1.Marshal(parsed.Subject.ToRDNSequence())
	if err != nil {
		return nil, err
	}
	answer := requestAnswer{
		CommonName:         parsed.Subject.CommonName,
		Organizations:      parsed.Subject.Organization,
		SubjectHex:         hex.EncodeToString(parsed.RawSubject),
		RewrittenHex:       hex.EncodeToString(rewritten),
		PublicKeyInfoHex:   hex.EncodeToString(parsed.RawSubjectPublicKeyInfo),
		SignatureAlgorithm: parsed.SignatureAlgorithm.String(),
	}
	if err := parsed.CheckSignature(); err != nil {
		answer.SignatureError = err.Error()
	}
	return answer, nil
}
