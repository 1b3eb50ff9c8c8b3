// Command client-go drives a kubeconfig the way programs built on client-go do, and prints one JSON line with what it saw.
//
//	client-go [-kubeconfig f] [-namespace n] [-protocol h1|h2] [-seconds n] [-interval d] informers|watch|lease|lists|apply|streams|steady
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// scene is what every scenario works with.
type scene struct {
	client    kubernetes.Interface
	namespace string
	duration  time.Duration
	// interval is how often the steady one asks.
	interval time.Duration
	// pod is the one whose log is followed.
	pod string
}

// report is printed as JSON.
type report map[string]any

func main() {
	kubeconfig := flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "path of the kubeconfig")
	namespace := flag.String("namespace", "default", "where objects are made")
	protocol := flag.String("protocol", "h2", "h1 or h2")
	seconds := flag.Int("seconds", 10, "how long a scenario lasts")
	interval := flag.Duration("interval", time.Second, "how often the steady scenario asks")
	pod := flag.String("pod", "", "a Pod that writes a line a second")
	flag.Parse()
	if err := run(*kubeconfig, *namespace, *protocol, *seconds, *interval, *pod, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(kubeconfig, namespace, protocol string, seconds int, interval time.Duration, pod, name string) error {
	scenarios := map[string]func(context.Context, *scene) (report, error){
		"informers": informersScenario,
		"watch":     watchWithBookmarks,
		"lease":     lease,
		"lists":     lists,
		"apply":     apply,
		"streams":   streams,
		"steady":    steady,
	}
	scenario, known := scenarios[name]
	if !known {
		return fmt.Errorf("no scenario %q", name)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 500, 500
	if protocol == "h1" {
		config.TLSClientConfig.NextProtos = []string{"http/1.1"}
	}
	seen := &protocols{counts: map[string]int{}}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &observer{next, seen} })
	client, err := kubernetes.NewForConfig(rest.CopyConfig(config))
	if err != nil {
		return err
	}
	result, err := scenario(context.Background(), &scene{
		client:    client,
		namespace: namespace,
		duration:  time.Duration(seconds) * time.Second,
		interval:  interval,
		pod:       pod,
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	result["protocols"] = seen.snapshot()
	return json.NewEncoder(os.Stdout).Encode(result)
}

// protocols counts answers by HTTP version.
type protocols struct {
	mutex  sync.Mutex
	counts map[string]int
}

func (p *protocols) snapshot() map[string]int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	copied := map[string]int{}
	for version, count := range p.counts {
		copied[version] = count
	}
	return copied
}

type observer struct {
	next http.RoundTripper
	seen *protocols
}

func (o *observer) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := o.next.RoundTrip(request)
	if err == nil {
		o.seen.mutex.Lock()
		o.seen.counts[response.Proto]++
		o.seen.mutex.Unlock()
	}
	return response, err
}
