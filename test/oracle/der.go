package main

import (
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"time"
)

type derAnswer struct {
	Error string `json:"error,omitempty"`
	// What Go reads: decimal text, dotted text, hex, RFC 3339 or the string itself.
	Value string `json:"value"`
	// What Go writes for that value again, hex.
	Again string `json:"again"`
}

// derElements reads a JSON list of hex strings, one DER element each.
func derElements(input []byte) (any, error) {
	var items []string
	if err := json.Unmarshal(input, &items); err != nil {
		return nil, err
	}
	answers := make([]derAnswer, 0, len(items))
	for _, item := range items {
		raw, err := hex.DecodeString(item)
		if err != nil {
			return nil, err
		}
		answer, err := derElement(raw)
		if err != nil {
			answer.Error = err.Error()
		}
		answers = append(answers, answer)
	}
	return answers, nil
}

func derElement(raw []byte) (derAnswer, error) {
	var head asn1.RawValue
	rest, err := asn1.Unmarshal(raw, &head)
	if err != nil {
		return derAnswer{}, err
	}
	if len(rest) > 0 {
		return derAnswer{}, fmt.Errorf("%d trailing bytes", len(rest))
	}
	switch head.Tag {
	case asn1.TagInteger:
		var value *big.Int
		return decode(raw, &value, func() (string, any) { return value.String(), value })
	case asn1.TagBoolean:
		var value bool
		return decode(raw, &value, func() (string, any) { return fmt.Sprint(value), value })
	case asn1.TagBitString:
		var value asn1.BitString
		return decode(raw, &value, func() (string, any) { return hex.EncodeToString(value.Bytes), value })
	case asn1.TagOctetString:
		var value []byte
		return decode(raw, &value, func() (string, any) { return hex.EncodeToString(value), value })
	case asn1.TagOID:
		var value asn1.ObjectIdentifier
		return decode(raw, &value, func() (string, any) { return value.String(), value })
	case asn1.TagUTF8String:
		var value string
		_, err := asn1.Unmarshal(raw, &value)
		if err != nil {
			return derAnswer{}, err
		}
		again, err := asn1.MarshalWithParams(value, "utf8")
		return derAnswer{Value: value, Again: hex.EncodeToString(again)}, err
	case asn1.TagUTCTime, asn1.TagGeneralizedTime:
		var value time.Time
		return decode(raw, &value, func() (string, any) { return value.UTC().Format(time.RFC3339), value })
	case asn1.TagSet:
		var value []asn1.RawValue
		if _, err := asn1.UnmarshalWithParams(raw, &value, "set"); err != nil {
			return derAnswer{}, err
		}
		again, err := asn1.MarshalWithParams(value, "set")
		return derAnswer{Value: fmt.Sprint(len(value)), Again: hex.EncodeToString(again)}, err
	default:
		return derAnswer{Value: hex.EncodeToString(head.Bytes), Again: hex.EncodeToString(head.FullBytes)}, nil
	}
}

func decode(raw []byte, target any, result func() (string, any)) (derAnswer, error) {
	if _, err := asn1.Unmarshal(raw, target); err != nil {
		return derAnswer{}, err
	}
	text, value := result()
	again, err := asn1.Marshal(value)
	return derAnswer{Value: text, Again: hex.EncodeToString(again)}, err
}
