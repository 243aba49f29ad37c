package policy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

// The whole text once: what the other tests take for granted.
func TestText(t *testing.T) {
	objects := Objects{Pods: cluster().Pods[:2], Namespaces: cluster().Namespaces, Policies: parsePolicies(t, `
in: shop
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}, {ipBlock: {cidr: 198.51.100.0/24, except: [198.51.100.0/28]}}, {ipBlock: {cidr: "2001:db8::/32"}}]
    ports: [{port: sql}, {protocol: UDP}]
  - {}`)}
	got := compile(t, objects).String()
	want := `table inet lab-policy {
	set egress-drops {
		type ipv4_addr . ipv4_addr . inet_proto . inet_service
		flags dynamic,timeout
		timeout 10m
		size 4096
		counter
	}
	set egress-drops6 {
		type ipv6_addr . ipv6_addr . inet_proto . inet_service
		flags dynamic,timeout
		timeout 10m
		size 4096
		counter
	}
	chain egress-record {
		meta l4proto { tcp, udp, sctp } update @egress-drops { ip saddr . ip daddr . meta l4proto . th dport }
		meta l4proto { tcp, udp, sctp } update @egress-drops6 { ip6 saddr . ip6 daddr . meta l4proto . th dport }
	}
	counter egress-unknown {
	}
	chain egress-unknown {
		jump egress-record
		counter name egress-unknown drop
	}
	chain egress {
		ip saddr 10.86.0.0/16 ip saddr != { 10.86.0.10, 10.86.0.11 } goto egress-unknown
	}
	set ingress-drops {
		type ipv4_addr . ipv4_addr . inet_proto . inet_service
		flags dynamic,timeout
		timeout 10m
		size 4096
		counter
	}
	set ingress-drops6 {
		type ipv6_addr . ipv6_addr . inet_proto . inet_service
		flags dynamic,timeout
		timeout 10m
		size 4096
		counter
	}
	chain ingress-record {
		meta l4proto { tcp, udp, sctp } update @ingress-drops { ip saddr . ip daddr . meta l4proto . th dport }
		meta l4proto { tcp, udp, sctp } update @ingress-drops6 { ip6 saddr . ip6 daddr . meta l4proto . th dport }
	}
	counter ingress-unknown {
	}
	chain ingress-unknown {
		jump ingress-record
		counter name ingress-unknown drop
	}
	counter ingress/shop/db {
	}
	chain ingress/shop/db {
		ip saddr { 10.86.0.11 } return comment "itself"
		ip saddr { 10.86.0.10 } tcp dport { 5432 } return comment "shop/policy-0 ingress 0"
		ip saddr { 10.86.0.10 } meta l4proto udp return comment "shop/policy-0 ingress 0"
		ip saddr { 198.51.100.0/24 } ip saddr != { 198.51.100.0/28 } tcp dport { 5432 } return comment "shop/policy-0 ingress 0"
		ip saddr { 198.51.100.0/24 } ip saddr != { 198.51.100.0/28 } meta l4proto udp return comment "shop/policy-0 ingress 0"
		ip6 saddr { 2001:db8::/32 } tcp dport { 5432 } return comment "shop/policy-0 ingress 0"
		ip6 saddr { 2001:db8::/32 } meta l4proto udp return comment "shop/policy-0 ingress 0"
		return comment "shop/policy-0 ingress 1"
		jump ingress-record
		counter name ingress/shop/db drop
	}
	chain ingress {
		ip daddr 10.86.0.0/16 ip daddr != { 10.86.0.10, 10.86.0.11 } goto ingress-unknown
		ip daddr vmap { 10.86.0.11 : jump ingress/shop/db }
	}
` + baseChains + "}\n"
	if got != want {
		t.Errorf("got:\n%s", got)
	}
}

func TestScriptKeepsTheTable(t *testing.T) {
	objects := cluster()
	objects.Policies = parsePolicies(t, "in: shop\nspec: {podSelector: {}}")
	before := compile(t, objects)
	objects.Pods = slices.DeleteFunc(objects.Pods, func(p *core.Pod) bool { return p.Name == "db" })
	after := compile(t, objects)
	if got := after.script(nil); got != removal+after.String() {
		t.Errorf("first:\n%s", got)
	}
	want := "flush table inet lab-policy\ndelete chain inet lab-policy ingress/shop/db\ndelete counter inet lab-policy ingress/shop/db\n"
	if got := after.script(before); got != want+after.String() {
		t.Errorf("later:\n%s", got)
	}
}

func TestLongNamesStayApart(t *testing.T) {
	long := strings.Repeat("a", 200)
	one := isolation{endpoint: endpoint{Pod: pod("shop/"+long+"1", "", "")}, direction: ingress}
	two := isolation{endpoint: endpoint{Pod: pod("shop/"+long+"2", "", "")}, direction: ingress}
	if one.name() == two.name() || len(one.name()) > 120 || !strings.HasPrefix(one.name(), "ingress/shop/aaa") {
		t.Errorf("%s, %s", one.name(), two.name())
	}
}

func TestPrefixesOfAFamily(t *testing.T) {
	var prefixes []netip.Prefix
	for _, text := range []string{"10.1.0.0/16", "10.0.0.0/8", "fd00::/64", "10.0.0.5/32", "11.0.0.1/32", "11.0.0.1/32", "0.0.0.0/32"} {
		prefixes = append(prefixes, netip.MustParsePrefix(text))
	}
	if got, want := families[0].of(prefixes), []string{"0.0.0.0", "10.0.0.0/8", "11.0.0.1"}; !slices.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
	if got, want := families[1].of(prefixes), []string{"fd00::/64"}; !slices.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}

func TestParseRefused(t *testing.T) {
	counters, flows, err := parseRefused([]byte(`{"nftables": [{"metainfo": {"version": "1.0.6"}},
		{"counter": {"family": "inet", "name": "ingress/shop/db", "table": "lab-policy", "packets": 4, "bytes": 240}},
		{"set": {"name": "egress-drops6", "table": "lab-policy"}},
		{"set": {"name": "ingress-drops", "elem": [{"elem": {"val": {"concat": ["10.86.0.2", "10.86.0.3", "tcp", 5432]}, "expires": 296,
			"counter": {"packets": 2, "bytes": 120}}}]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(counters) != 1 || counters["ingress/shop/db"] != 4 {
		t.Errorf("counters: %v", counters)
	}
	want := Flow{"ingress", netip.MustParseAddr("10.86.0.2"), netip.MustParseAddr("10.86.0.3"), "tcp", 5432, 2}
	if len(flows) != 1 || flows[0] != want {
		t.Errorf("flows: %+v", flows)
	}
	if _, _, err := parseRefused([]byte(`{"nftables": [{"set": {"name": "ingress-drops", "elem": [{"elem": {"val": {"concat": ["a"]}}}]}}]}`)); err == nil {
		t.Error("a flow of one part is taken")
	}
}
