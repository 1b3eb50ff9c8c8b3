package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

func configMap(name, text string) *core.ConfigMap {
	return &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: name}, Data: map[string]string{"text": text}}
}

// informersOf is a shared informer on ConfigMaps.
func informersOf(s *scene) (informers.SharedInformerFactory, cache.SharedIndexInformer) {
	factory := informers.NewSharedInformerFactoryWithOptions(s.client, 0, informers.WithNamespace(s.namespace))
	return factory, factory.Core().V1().ConfigMaps().Informer()
}

// informersScenario runs a shared informer and checks that it hears of exactly what was written.
func informersScenario(ctx context.Context, s *scene) (report, error) {
	factory, informer := informersOf(s)
	added, deleted := make(chan string, 1000), make(chan string, 1000)
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { added <- object.(*core.ConfigMap).Name },
		DeleteFunc: func(object any) { deleted <- object.(*core.ConfigMap).Name },
	}); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	factory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return nil, fmt.Errorf("the informer did not sync")
	}
	const count = 50
	maps := s.client.CoreV1().ConfigMaps(s.namespace)
	for index := range count {
		if _, err := maps.Create(ctx, configMap(fmt.Sprintf("informed-%d", index), "x"), meta.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	if err := await(added, "informed-", count); err != nil {
		return nil, fmt.Errorf("added: %w", err)
	}
	for index := range count {
		if err := maps.Delete(ctx, fmt.Sprintf("informed-%d", index), meta.DeleteOptions{}); err != nil {
			return nil, err
		}
	}
	if err := await(deleted, "informed-", count); err != nil {
		return nil, fmt.Errorf("deleted: %w", err)
	}
	return report{"events": 2 * count}, nil
}

// await reads names until every one of them with this prefix was there once.
func await(names <-chan string, prefix string, count int) error {
	seen := map[string]bool{}
	limit := time.After(30 * time.Second)
	for len(seen) < count {
		select {
		case name := <-names:
			if strings.HasPrefix(name, prefix) {
				seen[name] = true
			}
		case <-limit:
			return fmt.Errorf("%d of %d events in 30 s", len(seen), count)
		}
	}
	return nil
}

// lease acquires and renews a Lease until time is up, and gives it back.
func lease(ctx context.Context, s *scene) (report, error) {
	ctx, stop := context.WithTimeout(ctx, s.duration)
	defer stop()
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, s.namespace, "client-go",
		s.client.CoreV1(), s.client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: "client-go"})
	if err != nil {
		return nil, err
	}
	started, lost := 0, false
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:            lock,
		ReleaseOnCancel: true,
		LeaseDuration:   4 * time.Second,
		RenewDeadline:   3 * time.Second,
		RetryPeriod:     500 * time.Millisecond,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				started++
				<-leading.Done()
			},
			OnStoppedLeading: func() { lost = ctx.Err() == nil },
		},
	})
	if started != 1 || lost {
		return nil, fmt.Errorf("led %d times, lost the Lease: %t", started, lost)
	}
	return report{"led": started}, nil
}

// lists makes many objects and lists them in one piece and in pages.
func lists(ctx context.Context, s *scene) (report, error) {
	maps := s.client.CoreV1().ConfigMaps(s.namespace)
	const count = 600
	text := strings.Repeat("x", 2000)
	for index := range count {
		object := configMap(fmt.Sprintf("listed-%d", index), text)
		object.Labels = map[string]string{"listed": "true"}
		if _, err := maps.Create(ctx, object, meta.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	whole, err := maps.List(ctx, meta.ListOptions{LabelSelector: "listed=true", ResourceVersion: "0"})
	if err != nil {
		return nil, err
	}
	pages, paged, next := 0, 0, ""
	for {
		page, err := maps.List(ctx, meta.ListOptions{LabelSelector: "listed=true", Limit: 100, Continue: next})
		if err != nil {
			return nil, err
		}
		pages, paged, next = pages+1, paged+len(page.Items), page.Continue
		if next == "" {
			break
		}
	}
	if err := maps.DeleteCollection(ctx, meta.DeleteOptions{}, meta.ListOptions{LabelSelector: "listed=true"}); err != nil {
		return nil, err
	}
	if len(whole.Items) != count || paged != count {
		return nil, fmt.Errorf("%d at once, %d in pages, expected %d", len(whole.Items), paged, count)
	}
	return report{"items": count, "pages": pages}, nil
}

// apply uses server-side apply by two managers that conflict, and forces it then.
func apply(ctx context.Context, s *scene) (report, error) {
	maps := s.client.CoreV1().ConfigMaps(s.namespace)
	wanted := func(value string) *applycore.ConfigMapApplyConfiguration {
		return applycore.ConfigMap("applied", s.namespace).WithData(map[string]string{"key": value})
	}
	if _, err := maps.Apply(ctx, wanted("one"), meta.ApplyOptions{FieldManager: "one"}); err != nil {
		return nil, err
	}
	_, conflict := maps.Apply(ctx, wanted("two"), meta.ApplyOptions{FieldManager: "two"})
	if conflict == nil {
		return nil, fmt.Errorf("the second manager met no conflict")
	}
	applied, err := maps.Apply(ctx, wanted("two"), meta.ApplyOptions{FieldManager: "two", Force: true})
	if err != nil {
		return nil, err
	}
	if err := maps.Delete(ctx, "applied", meta.DeleteOptions{}); err != nil {
		return nil, err
	}
	return report{"value": applied.Data["key"], "conflict": conflict.Error()}, nil
}
