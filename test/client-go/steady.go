package main

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// failure is a request that its caller saw fail.
type failure struct {
	// Second after the start.
	Second float64 `json:"second"`
	// Code is the HTTP status, or 0.
	Code  int32  `json:"code"`
	Error string `json:"error"`
}

// steady asks for ConfigMaps at an even pace, one after the other as a program that polls does, and tells what its caller saw: it
// repeats nothing by itself.
func steady(ctx context.Context, s *scene) (report, error) {
	started := time.Now()
	failures := []failure{}
	requests := 0
	slowest := time.Duration(0)
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for time.Since(started) < s.duration {
		asked := time.Now()
		_, err := s.client.CoreV1().ConfigMaps(s.namespace).List(ctx, meta.ListOptions{Limit: 1})
		requests++
		slowest = max(slowest, time.Since(asked))
		if err != nil {
			code := int32(0)
			if status, ok := err.(apierrors.APIStatus); ok {
				code = status.Status().Code
			}
			failures = append(failures, failure{asked.Sub(started).Seconds(), code, err.Error()})
		}
		<-ticker.C
	}
	return report{"requests": requests, "failures": failures, "slowestMilliseconds": slowest.Milliseconds()}, nil
}
