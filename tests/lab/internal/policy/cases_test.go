package policy

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// The cluster of all cases. node and outside are no pods.
const (
	nodeAddress    = "10.86.0.1"
	outsideAddress = "198.51.100.7"
)

var scope = Scope{NodeName: "node-1", PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.86.0.0/16")}}

func cluster() Objects {
	objects := Objects{
		Namespaces: []*core.Namespace{namespace("shop", "team=blue"), namespace("bank", "team=red"), namespace("kube-system", "")},
		Pods: []*core.Pod{
			pod("shop/web", "10.86.0.10", "app=web", "http:TCP:8080"),
			pod("shop/db", "10.86.0.11", "app=db,tier=data", "sql:TCP:5432"),
			pod("bank/web", "10.86.0.20", "app=web", "http:TCP:8081"),
			pod("bank/client", "10.86.0.21", "app=client"),
			pod("kube-system/dns", "10.86.0.30", "k8s-app=kube-dns", "dns:UDP:53", "dns-tcp:TCP:53"),
			// Where it has ended its address counts no more, nor where it is another node's.
			pod("shop/job", "10.86.0.10", "app=job"),
			pod("shop/agent", nodeAddress, "app=agent"),
		},
	}
	objects.Pods[5].Status.Phase = core.PodSucceeded
	objects.Pods[6].Spec.HostNetwork = true
	return objects
}

func namespace(name, labels string) *core.Namespace {
	set := parseLabels(labels)
	set["kubernetes.io/metadata.name"] = name
	return &core.Namespace{ObjectMeta: meta.ObjectMeta{Name: name, Labels: set}}
}

func pod(name, address, labels string, ports ...string) *core.Pod {
	ns, name, _ := strings.Cut(name, "/")
	pod := &core.Pod{
		ObjectMeta: meta.ObjectMeta{Namespace: ns, Name: name, Labels: parseLabels(labels), UID: types.UID(ns + name)},
		Spec:       core.PodSpec{NodeName: "node-1", Containers: []core.Container{{Name: "main"}}},
		Status:     core.PodStatus{Phase: core.PodRunning},
	}
	if address != "" {
		pod.Status.PodIP, pod.Status.PodIPs = address, []core.PodIP{{IP: address}}
	}
	for _, text := range ports {
		parts := strings.Split(text, ":")
		port := core.ContainerPort{Name: parts[0], Protocol: core.Protocol(parts[1])}
		if _, err := fmt.Sscan(parts[2], &port.ContainerPort); err != nil {
			panic(err)
		}
		pod.Spec.Containers[0].Ports = append(pod.Spec.Containers[0].Ports, port)
	}
	return pod
}

func parseLabels(text string) map[string]string {
	set := map[string]string{}
	for _, pair := range strings.Split(text, ",") {
		if key, value, found := strings.Cut(pair, "="); found {
			set[key] = value
		}
	}
	return set
}

// parsePolicies reads documents of a namespace, `in` (YAML takes `on` for a truth value), and a spec.
func parsePolicies(t *testing.T, text string) (policies []*networking.NetworkPolicy) {
	t.Helper()
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		document := struct {
			In   string
			Spec networking.NetworkPolicySpec
		}{}
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return policies
		}
		if err != nil {
			t.Fatal(err)
		}
		if document.In == "" {
			if text := strings.TrimSpace(text); text != "" {
				t.Fatalf("a policy is in no namespace:\n%s", text)
			}
			continue
		}
		policies = append(policies, &networking.NetworkPolicy{
			ObjectMeta: meta.ObjectMeta{Namespace: document.In, Name: fmt.Sprintf("policy-%d", len(policies))}, Spec: document.Spec,
		})
	}
}

// connection is what one line of a case says: who tries what, and which direction
// refuses it, if any.
type connection struct {
	text              string
	from, to          string
	protocol, refused string
	port              int
}

func parseConnections(t *testing.T, text string) (connections []connection) {
	t.Helper()
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		c := connection{text: strings.TrimSpace(line)}
		var port string
		if _, err := fmt.Sscanf(c.text, "%s -> %s %s %s", &c.from, &c.to, &port, &c.refused); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		protocol, number, _ := strings.Cut(port, "/")
		c.protocol = protocol
		if _, err := fmt.Sscan(number, &c.port); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		switch c.refused {
		case "passes":
			c.refused = ""
		case "egress", "ingress":
		default:
			t.Fatalf("%s: passes, egress or ingress is expected at the end", line)
		}
		connections = append(connections, c)
	}
	return connections
}

func address(t *testing.T, objects Objects, name string) netip.Addr {
	t.Helper()
	switch name {
	case "node":
		return netip.MustParseAddr(nodeAddress)
	case "outside":
		return netip.MustParseAddr(outsideAddress)
	}
	for _, pod := range objects.Pods {
		if pod.Namespace+"/"+pod.Name == name {
			return netip.MustParseAddr(pod.Status.PodIP)
		}
	}
	t.Fatalf("no pod %s", name)
	return netip.Addr{}
}

// cases are judged by TestCases from what was decided, and by TestKernel by packets.
var cases = []struct {
	name        string
	policies    string
	connections string
}{
	{"no policy: all is allowed", ``, `
		bank/client -> shop/db tcp/5432 passes
		bank/client -> kube-system/dns udp/53 passes
		shop/db -> outside tcp/443 passes
		outside -> shop/db tcp/5432 passes
		shop/db -> node tcp/6443 passes
		node -> shop/db tcp/5432 passes`},
	{"default deny of ingress isolates one namespace and one direction", `
in: shop
spec: {podSelector: {}, policyTypes: [Ingress]}`, `
		bank/client -> shop/db tcp/5432 ingress
		shop/web -> shop/db tcp/5432 ingress
		outside -> shop/web udp/53 ingress
		shop/db -> bank/web tcp/8081 passes
		shop/db -> outside tcp/443 passes
		shop/db -> node tcp/6443 passes
		bank/client -> bank/web tcp/8081 passes
		node -> shop/db tcp/5432 passes`},
	{"default deny of egress", `
in: shop
spec: {podSelector: {}, policyTypes: [Egress]}`, `
		shop/web -> shop/db tcp/5432 egress
		shop/web -> bank/web tcp/8081 egress
		shop/web -> kube-system/dns udp/53 egress
		shop/web -> outside tcp/443 egress
		shop/web -> node tcp/6443 egress
		bank/client -> shop/web tcp/8080 passes
		node -> shop/web tcp/8080 passes`},
	{"default deny of both", `
in: shop
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}`, `
		shop/web -> shop/db tcp/5432 egress
		bank/client -> shop/db tcp/5432 ingress
		shop/db -> shop/db tcp/5432 passes
		node -> shop/db tcp/5432 passes`},
	{"policyTypes are missing and there are no egress rules: ingress only", `
in: shop
spec: {podSelector: {}}`, `
		bank/client -> shop/web tcp/8080 ingress
		shop/web -> bank/web tcp/8081 passes`},
	{"policyTypes are missing and there is an egress rule: both", `
in: shop
spec: {podSelector: {}, egress: [{to: [{podSelector: {}}]}]}`, `
		bank/client -> shop/web tcp/8080 ingress
		shop/web -> bank/web tcp/8081 egress
		shop/web -> shop/db tcp/5432 ingress`},
	{"rules of a type that is not named have no effect", `
in: shop
spec: {podSelector: {}, policyTypes: [Egress], ingress: [], egress: [{}]}`, `
		bank/client -> shop/web tcp/8080 passes
		shop/web -> bank/web tcp/8081 passes`},
	{"an empty rule allows all ingress, an empty list of rules none", `
in: shop
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{}]}
---
in: shop
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: []}`, `
		bank/client -> shop/web tcp/8080 passes
		outside -> shop/web udp/53 passes
		shop/web -> shop/db tcp/5432 ingress`},
	{"an empty rule allows all egress", `
in: shop
spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}`, `
		shop/web -> outside tcp/443 passes
		shop/web -> node tcp/6443 passes
		shop/web -> kube-system/dns udp/53 passes`},
	{"empty from and ports mean all, as missing ones do", `
in: shop
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [], ports: [{port: 8080}]}]}
---
in: shop
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: []}]}`, `
		bank/client -> shop/web tcp/8080 passes
		outside -> shop/web tcp/8080 passes
		bank/client -> shop/web tcp/8081 ingress
		shop/web -> shop/db tcp/5432 passes
		shop/web -> shop/db udp/53 passes
		bank/web -> shop/db tcp/5432 ingress`},
	{"policies add up", `
in: shop
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
in: shop
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 5432}]}]}
---
in: shop
spec: {podSelector: {matchExpressions: [{key: tier, operator: Exists}]}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: red}}}], ports: [{port: 8080}]}]}
---
in: shop
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: db}}}]}]}`, `
		shop/web -> shop/db tcp/5432 passes
		shop/web -> shop/db tcp/8080 ingress
		bank/client -> shop/db tcp/8080 passes
		bank/client -> shop/db tcp/5432 ingress
		bank/client -> shop/web tcp/8080 ingress
		shop/db -> shop/web tcp/8080 egress`},
	{"egress to DNS in any namespace", `
in: shop
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
in: shop
spec:
  podSelector: {}
  policyTypes: [Egress]
  egress:
  - to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}]
    ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]`, `
		shop/web -> kube-system/dns udp/53 passes
		shop/web -> kube-system/dns tcp/53 passes
		shop/web -> kube-system/dns tcp/8080 egress
		shop/web -> outside udp/53 egress
		shop/web -> shop/db tcp/53 egress
		bank/client -> kube-system/dns udp/53 passes`},
	{"podSelector alone means the policy's own namespace", `
in: shop
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}`, `
		shop/web -> shop/db tcp/5432 passes
		bank/web -> shop/db tcp/5432 ingress`},
	{"an empty podSelector means all pods of the own namespace", `
in: shop
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}]}]}`, `
		shop/web -> shop/db tcp/5432 passes
		bank/client -> shop/db tcp/5432 ingress
		outside -> shop/db tcp/5432 ingress`},
	{"namespaceSelector alone means all pods there", `
in: shop
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: bank}}}]}]}`, `
		bank/client -> shop/db tcp/5432 passes
		bank/web -> shop/db tcp/5432 passes
		kube-system/dns -> shop/db tcp/5432 ingress
		shop/web -> shop/db tcp/5432 ingress`},
	{"an empty namespaceSelector means all pods, but no one else", `
in: shop
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {}}]}]}`, `
		kube-system/dns -> shop/db tcp/5432 passes
		outside -> shop/db tcp/5432 ingress`},
	{"both selectors in one peer: and", `
in: shop
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: red}}, podSelector: {matchLabels: {app: client}}}]}]}`, `
		bank/client -> shop/db tcp/5432 passes
		bank/web -> shop/db tcp/5432 ingress`},
	{"the selectors in two peers: or, the second of the own namespace", `
in: shop
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: red}}}, {podSelector: {matchLabels: {app: web}}}]}]}`, `
		bank/client -> shop/db tcp/5432 passes
		bank/web -> shop/db tcp/5432 passes
		shop/web -> shop/db tcp/5432 passes
		kube-system/dns -> shop/db tcp/5432 ingress`},
	{"ipBlock with exceptions, some within others", `
in: shop
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Egress, Ingress]
  egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 10.86.0.0/16, 203.0.113.0/24]}}], ports: [{port: 443}]}]
  ingress: [{from: [{ipBlock: {cidr: 198.51.100.7/24, except: [198.51.100.128/25]}}]}]`, `
		shop/web -> outside tcp/443 passes
		shop/web -> outside tcp/8080 egress
		shop/web -> shop/db tcp/443 egress
		shop/web -> node tcp/443 egress
		outside -> shop/web tcp/8080 passes
		bank/client -> shop/web tcp/8080 ingress`},
	{"ipBlock whose exception holds the peer", `
in: shop
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 198.51.0.0/16, except: [198.51.100.0/24]}}]}]}`, `
		outside -> shop/web tcp/8080 ingress
		node -> shop/web tcp/8080 passes`},
	{"what one peer excepts another may allow", `
in: shop
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.86.0.0/16]}}, {namespaceSelector: {matchLabels: {team: red}}}]}]}`, `
		bank/client -> shop/web tcp/8080 passes
		kube-system/dns -> shop/web tcp/8080 ingress`},
	{"the API server: by port to anywhere, or by ipBlock, not by a selector", `
in: shop
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{ports: [{port: 443}, {port: 6443}]}]}
---
in: shop
spec: {podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.86.0.1/32}}], ports: [{port: 6443}]}]}
---
in: bank
spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}]}]}`, `
		shop/web -> node tcp/6443 passes
		shop/web -> node tcp/8080 egress
		shop/db -> node tcp/6443 passes
		shop/db -> node tcp/443 egress
		bank/client -> node tcp/6443 egress
		bank/client -> shop/db tcp/5432 passes`},
	{"protocol without port; TCP where no protocol is named", `
in: shop
spec: {podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{protocol: UDP}]}]}
---
in: shop
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 53}]}]}
---
in: kube-system
spec: {podSelector: {}, ingress: [{ports: [{protocol: SCTP, port: 53}]}]}`, `
		bank/client -> shop/web udp/53 passes
		bank/client -> shop/web udp/8080 passes
		bank/client -> shop/web tcp/8080 ingress
		bank/client -> shop/db tcp/53 passes
		bank/client -> shop/db udp/53 ingress
		bank/client -> kube-system/dns sctp/53 passes
		bank/client -> kube-system/dns sctp/54 ingress
		bank/client -> kube-system/dns udp/53 ingress`},
	{"endPort, with ranges that overlap or touch", `
in: shop
spec: {podSelector: {}, ingress: [{ports: [{port: 8080, endPort: 8083}, {port: 8082, endPort: 8090}, {port: 8091}, {port: 8080}, {protocol: UDP, port: 53, endPort: 54}]}]}`, `
		bank/client -> shop/web tcp/8080 passes
		bank/client -> shop/web tcp/8090 passes
		bank/client -> shop/web tcp/8091 passes
		bank/client -> shop/web tcp/8092 ingress
		bank/client -> shop/web tcp/8079 ingress
		bank/client -> shop/web udp/54 passes
		bank/client -> shop/web udp/8080 ingress`},
	{"a port by name for ingress is the pod's own; where it has none of this name and protocol, nothing is allowed", `
in: shop
spec: {podSelector: {}, ingress: [{ports: [{port: http}]}]}
---
in: bank
spec: {podSelector: {}, ingress: [{ports: [{port: http}]}]}
---
in: kube-system
spec: {podSelector: {}, ingress: [{ports: [{port: dns}]}]}`, `
		outside -> shop/web tcp/8080 passes
		outside -> shop/web tcp/8081 ingress
		outside -> bank/web tcp/8081 passes
		outside -> bank/web tcp/8080 ingress
		outside -> shop/db tcp/5432 ingress
		shop/web -> kube-system/dns udp/53 ingress
		shop/web -> kube-system/dns tcp/53 ingress`},
	{"a port by name for egress is each peer's", `
in: bank
spec: {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: http}, {port: 5432}]}]}`, `
		bank/client -> shop/web tcp/8080 passes
		bank/client -> shop/web tcp/8081 egress
		bank/client -> bank/web tcp/8081 passes
		bank/client -> bank/web tcp/8080 egress
		bank/client -> shop/db tcp/5432 passes
		bank/client -> shop/db tcp/8080 egress`},
	{"a port by name for egress to anywhere, or within an ipBlock", `
in: bank
spec: {podSelector: {matchLabels: {app: client}}, policyTypes: [Egress], egress: [{ports: [{port: http}]}]}
---
in: bank
spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 10.86.0.0/16, except: [10.86.0.16/28]}}], ports: [{port: http}]}]}`, `
		bank/client -> shop/web tcp/8080 passes
		bank/client -> bank/web tcp/8081 passes
		bank/client -> outside tcp/8080 egress
		bank/web -> shop/web tcp/8080 passes
		bank/web -> shop/web tcp/8081 egress
		bank/web -> bank/client tcp/8081 egress`},
	{"a pod reaches itself whatever is denied", `
in: shop
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}`, `
		shop/web -> shop/web tcp/8080 passes
		shop/db -> shop/db udp/53 passes`},
	{"both sides must allow", `
in: bank
spec: {podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {team: blue}}, podSelector: {matchLabels: {app: db}}}]}]}
---
in: shop
spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: red}}}], ports: [{port: 5432}]}]}`, `
		bank/client -> shop/db tcp/5432 passes
		bank/client -> shop/db tcp/8080 ingress
		bank/client -> shop/web tcp/5432 egress
		shop/web -> shop/db tcp/5432 ingress`},
	{"a policy of another namespace changes nothing", `
in: bank
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}`, `
		shop/web -> shop/db tcp/5432 passes
		shop/web -> outside tcp/443 passes`},
}
