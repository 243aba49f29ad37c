package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// From the first packet of a pod to the removal of the table, with the CNI plugin.
func TestRun(t *testing.T) {
	b := newTestbed(t)
	b.serve("tcp", 8080)
	objects := cluster()
	client := fake.NewClientset(objects.Namespaces[0], objects.Namespaces[1], objects.Pods[3])
	answer := holdBack(client, "networkpolicies")
	socket := filepath.Join(t.TempDir(), "policy.sock")
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- run(ctx, client, b.table, Options{Scope: scope, Socket: socket, Ready: func() { close(ready) }})
	}()
	web := b.address("shop/web")
	expect := func(what string, passes bool) {
		t.Helper()
		if got := b.reaches("bank/client", "tcp", web, 8080, passes); got != passes {
			t.Errorf("%s: passes: %t", what, got)
		}
	}
	eventually(t, "there is a table", func() bool {
		_, _, err := b.table.refused(ctx)
		return err == nil
	})
	expect("the API server has not answered yet", false)
	if b.reaches("bank/client", "tcp", b.address("outside"), 8080, false) {
		t.Error("the API server has not answered yet, but a pod reaches the outside")
	}
	answer()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("ended before it was ready: %v", err)
	case <-time.After(passPatience):
		t.Fatal("not ready")
	}
	if !b.reaches("bank/client", "tcp", b.address("outside"), 8080, true) {
		t.Error("a known pod without policies does not reach the outside")
	}
	expect("the pod is not known yet", false)

	// The kubelet writes the address later, after the sandbox is there.
	young := pod("shop/web", "", "app=web")
	must(t, client.Tracker().Add(young))
	plugin(t, socket, "ADD", string(young.UID), web.String())
	expect("the address is announced", true)
	policies := parsePolicies(t, "in: shop\nspec: {podSelector: {}}")
	must(t, client.Tracker().Add(policies[0]))
	eventually(t, "the new policy is in force", func() bool {
		_, isolated := b.counters()["ingress/shop/web"]
		return isolated
	})
	expect("the policy isolates the pod", false)
	plugin(t, socket, "DEL", string(young.UID), web.String())
	must(t, client.CoreV1().Pods("shop").Delete(ctx, "web", meta.DeleteOptions{}))
	eventually(t, "the counter goes with the pod", func() bool {
		_, isolated := b.counters()["ingress/shop/web"]
		return !isolated
	})
	expect("the pod is gone", false)

	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	expect("the table is gone", true)
}

// holdBack lets the API server not answer about a resource yet.
func holdBack(client *fake.Clientset, resource string) (answer func()) {
	held := make(chan struct{})
	client.PrependReactor("list", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
		<-held
		return false, nil, nil
	})
	client.PrependWatchReactor(resource, func(clienttesting.Action) (bool, watch.Interface, error) {
		<-held
		return false, nil, nil
	})
	return sync.OnceFunc(func() { close(held) })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(passPatience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("does not come true: %s", what)
}

// plugin calls the CNI plugin as the container runtime does.
func plugin(t *testing.T, socket, command, uid, address string) {
	t.Helper()
	code, output := callPlugin(socket, command, uid, address)
	if code != 0 {
		t.Fatalf("%s: %s", command, output)
	}
	if command == "ADD" && !strings.Contains(output, address) {
		t.Errorf("the result is not passed on: %s", output)
	}
}

func callPlugin(socket, command, uid, address string) (code int, output string) {
	previous := map[string]any{"cniVersion": "1.0.0", "ips": []map[string]string{{"address": address + "/16", "gateway": nodeAddress}}}
	input, err := json.Marshal(map[string]any{"cniVersion": "1.0.0", "type": PluginName, "socket": socket, "prevResult": previous})
	if err != nil {
		panic(err)
	}
	environment := map[string]string{"CNI_COMMAND": command, "CNI_ARGS": "IgnoreUnknown=1;K8S_POD_NAME=web"}
	if uid != "" {
		environment["CNI_ARGS"] += ";K8S_POD_UID=" + uid
	}
	var out bytes.Buffer
	code = Plugin(bytes.NewReader(input), &out, func(name string) string { return environment[name] })
	return code, out.String()
}

func TestPluginWaitsForTheRules(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "policy.sock")
	changed := make(chan struct{}, 1)
	news := announcements{changed: func() { changed <- struct{}{} }}
	stop, err := news.listen(socket)
	must(t, err)
	defer stop()
	ended := make(chan string, 1)
	go func() {
		code, output := callPlugin(socket, "ADD", "shopweb", "10.86.0.10")
		ended <- map[bool]string{true: "", false: output}[code == 0]
	}()
	<-changed
	// Rules of the time before, and with an address that the pod had before.
	older := pod("shop/web", "10.86.0.9", "")
	for _, objects := range []Objects{{}, {Pods: []*core.Pod{older}}} {
		ruleset, _ := Compile(objects, scope)
		news.inForce(ruleset)
		select {
		case output := <-ended:
			t.Fatalf("the plugin did not wait: %s", output)
		case <-time.After(50 * time.Millisecond):
		}
	}
	ruleset, _ := Compile(Objects{Pods: []*core.Pod{older}, Announced: news.addresses()}, scope)
	news.inForce(ruleset)
	if output := <-ended; output != "" {
		t.Errorf("the plugin failed: %s", output)
	}
	if got := news.addresses()["shopweb"]; len(got) != 1 || got[0] != netip.MustParseAddr("10.86.0.10") {
		t.Errorf("announced: %v", got)
	}
	plugin(t, socket, "DEL", "shopweb", "10.86.0.10")
	if got := news.addresses(); len(got) != 0 {
		t.Errorf("still announced after the end: %v", got)
	}
}

func TestPluginErrors(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "none.sock")
	for _, test := range []struct{ name, command, uid, want string }{
		{"no lab", "ADD", "u", "does the lab run?"},
		{"an old runtime", "ADD", "", "K8S_POD_UID"},
		{"an unknown command", "GC", "u", "GC"},
	} {
		code, output := callPlugin(nowhere, test.command, test.uid, "10.86.0.10")
		if code != 1 || !strings.Contains(output, test.want) || !strings.Contains(output, `"code":999`) {
			t.Errorf("%s: %d %s", test.name, code, output)
		}
	}
	// A pod can be taken down, and the version be asked for, without a lab.
	for _, command := range []string{"DEL", "VERSION", "CHECK"} {
		if code, output := callPlugin(nowhere, command, "u", "10.86.0.10"); code != 0 {
			t.Errorf("%s: %s", command, output)
		}
	}
	for input, want := range map[string]string{
		`{"socket": "x"}`:                     "no prevResult",
		`{"socket": "x", "prevResult": {}}`:   "no addresses",
		`{"prevResult": {"ips": "10.0.0.1"}}`: "read prevResult",
		`no json`:                             "network configuration",
	} {
		var out bytes.Buffer
		code := Plugin(strings.NewReader(input), &out, func(name string) string {
			return map[string]string{"CNI_COMMAND": "ADD", "CNI_ARGS": "K8S_POD_UID=u"}[name]
		})
		if code != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %d %s", input, code, out.String())
		}
	}
	if got := podUID("IgnoreUnknown=1;K8S_POD_UID=a-b"); got != types.UID("a-b") {
		t.Errorf("UID %s", got)
	}
}
