package main

import (
	"bufio"
	"context"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// watched is what one watch saw until it ended or time was up.
type watched struct {
	Events    int     `json:"events"`
	Bookmarks int     `json:"bookmarks"`
	Seconds   float64 `json:"seconds"`
	// Ended tells that the server's side closed it before time was up.
	Ended bool `json:"ended"`
}

// observe holds one watch open without ever opening it again.
func observe(ctx context.Context, s *scene) (watched, error) {
	seconds := int64(s.duration.Seconds()) + 60
	stream, err := s.client.CoreV1().ConfigMaps(s.namespace).Watch(ctx, meta.ListOptions{
		AllowWatchBookmarks: true,
		TimeoutSeconds:      &seconds,
	})
	if err != nil {
		return watched{}, err
	}
	defer stream.Stop()
	started, result := time.Now(), watched{}
	limit := time.After(s.duration)
	for {
		select {
		case event, open := <-stream.ResultChan():
			result.Seconds = time.Since(started).Seconds()
			switch {
			case !open:
				result.Ended = true
				return result, nil
			case event.Type == watch.Bookmark:
				result.Bookmarks++
			case event.Type == watch.Error:
				return result, fmt.Errorf("an error event: %v", event.Object)
			default:
				result.Events++
			}
		case <-limit:
			result.Seconds = time.Since(started).Seconds()
			return result, nil
		}
	}
}

// write changes one ConfigMap every second until time is up; answers how many writes failed.
func write(ctx context.Context, s *scene) (written, failed int, last error) {
	maps := s.client.CoreV1().ConfigMaps(s.namespace)
	name := fmt.Sprintf("written-%d", time.Now().UnixNano())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	limit := time.After(s.duration)
	for index := 0; ; index++ {
		var err error
		if index == 0 {
			_, err = maps.Create(ctx, configMap(name, "0"), meta.CreateOptions{})
		} else {
			_, err = maps.Update(ctx, configMap(name, fmt.Sprint(index)), meta.UpdateOptions{})
		}
		written++
		if err != nil {
			failed, last = failed+1, err
		}
		select {
		case <-tick.C:
		case <-limit:
			if err := maps.Delete(ctx, name, meta.DeleteOptions{}); err != nil {
				failed, last = failed+1, err
			}
			return written, failed, last
		}
	}
}

// watchWithBookmarks holds a watch open while things change.
func watchWithBookmarks(ctx context.Context, s *scene) (report, error) {
	done := make(chan report, 1)
	go func() {
		written, failed, last := write(ctx, s)
		done <- report{"written": written, "failed": failed, "lastError": fmt.Sprint(last)}
	}()
	seen, err := observe(ctx, s)
	if err != nil {
		return nil, err
	}
	result := <-done
	result["watch"] = seen
	return result, nil
}

// streams holds a watch and a log stream open from the start, with writes beside them.
func streams(ctx context.Context, s *scene) (report, error) {
	type followed struct {
		Lines   int     `json:"lines"`
		Seconds float64 `json:"seconds"`
		Ended   bool    `json:"ended"`
		Error   string  `json:"error,omitempty"`
	}
	log := make(chan followed, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		started, result := time.Now(), followed{}
		stream, err := s.client.CoreV1().Pods(s.namespace).
			GetLogs(s.pod, &core.PodLogOptions{Follow: true}).Stream(ctx)
		if err != nil {
			log <- followed{Error: err.Error()}
			return
		}
		defer stream.Close()
		go func() {
			<-time.After(s.duration)
			stream.Close()
		}()
		lines := bufio.NewScanner(stream)
		for lines.Scan() {
			result.Lines++
		}
		result.Seconds = time.Since(started).Seconds()
		result.Ended = result.Seconds < s.duration.Seconds()-1
		log <- result
	}()
	result, err := watchWithBookmarks(ctx, s)
	if err != nil {
		return nil, err
	}
	result["log"] = <-log
	return result, nil
}
