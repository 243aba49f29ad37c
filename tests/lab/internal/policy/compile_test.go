package policy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func TestCases(t *testing.T) {
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			objects := cluster()
			objects.Policies = parsePolicies(t, test.policies)
			ruleset := compile(t, objects)
			for _, c := range parseConnections(t, test.connections) {
				if got := judge(ruleset, address(t, objects, c.from), address(t, objects, c.to), c); got != c.refused {
					t.Errorf("%s: refused by %q\n%s", c.text, got, ruleset)
				}
			}
		})
	}
}

func compile(t *testing.T, objects Objects) *Ruleset {
	t.Helper()
	ruleset, problems := Compile(objects, scope)
	for _, problem := range problems {
		t.Error(problem)
	}
	return ruleset
}

// judge does what the chains do: egress of the sender, then ingress of the receiver
// unless the node sends. TestKernel shows that the kernel comes to the same results.
func judge(ruleset *Ruleset, from, to netip.Addr, c connection) string {
	if from.String() == nodeAddress || from == to {
		return ""
	}
	if !passes(ruleset, egress, from, to, c) {
		return "egress"
	}
	if !passes(ruleset, ingress, to, from, c) {
		return "ingress"
	}
	return ""
}

func passes(ruleset *Ruleset, direction direction, own, other netip.Addr, c connection) bool {
	for _, isolation := range ruleset.isolations {
		if isolation.direction == direction && slices.Contains(isolation.addresses, own) {
			return slices.ContainsFunc(isolation.allowed, func(a allowance) bool { return a.peers.contain(other) && a.reaches(c) })
		}
	}
	return true
}

func (a allowance) reaches(c connection) bool {
	return len(a.ports) == 0 || slices.ContainsFunc(a.ports, func(p portRange) bool {
		return p.protocol == c.protocol && p.first <= c.port && c.port <= p.last
	})
}

func TestWhoIsIsolated(t *testing.T) {
	objects := cluster()
	objects.Pods = append(objects.Pods, pod("shop/remote", "10.86.1.5", "app=remote"), pod("shop/new", "", "app=new"), pod("shop/announced", "", ""))
	objects.Pods[7].Spec.NodeName = "node-2"
	objects.Announced = map[types.UID][]netip.Addr{"shopannounced": {netip.MustParseAddr("10.86.0.40")}}
	objects.Policies = parsePolicies(t, "in: shop\nspec: {podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {matchLabels: {app: remote}}}]}]}")
	ruleset := compile(t, objects)
	want := []string{"ingress/shop/announced", "ingress/shop/db", "ingress/shop/web"}
	if got := ruleset.names(); !slices.Equal(got, want) {
		t.Errorf("isolated: %v, not %v", got, want)
	}
	if text := ruleset.String(); !strings.Contains(text, `ip saddr { 10.86.1.5 } return comment "shop/policy-0 ingress 0"`) {
		t.Errorf("a pod of another node is no peer:\n%s", text)
	}
}

func TestAddressThatTwoPodsHave(t *testing.T) {
	now := meta.Now()
	earlier := meta.NewTime(now.Add(-time.Hour))
	for _, test := range []struct {
		name            string
		first, second   meta.Time
		firstIsDeleted  bool
		secondIsDeleted bool
		want            string
	}{
		{"the younger", earlier, now, false, false, "second"},
		{"the younger comes first", now, earlier, false, false, "first"},
		{"the one that stays", earlier, now, false, true, "first"},
		{"the one that stays comes last", now, earlier, true, false, "second"},
	} {
		pods := []*core.Pod{pod("shop/first", "10.86.0.50", ""), pod("shop/second", "10.86.0.50", "")}
		pods[0].CreationTimestamp, pods[1].CreationTimestamp = test.first, test.second
		if test.firstIsDeleted {
			pods[0].DeletionTimestamp = &now
		}
		if test.secondIsDeleted {
			pods[1].DeletionTimestamp = &now
		}
		ruleset := compile(t, Objects{Pods: pods, Policies: parsePolicies(t, "in: shop\nspec: {podSelector: {}}")})
		if got := ruleset.names(); !slices.Equal(got, []string{"ingress/shop/" + test.want}) {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestWhatCannotBeReadAllowsNothing(t *testing.T) {
	bad := &meta.LabelSelector{MatchExpressions: []meta.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}
	for _, test := range []struct {
		peer networking.NetworkPolicyPeer
		want string
	}{
		{networking.NetworkPolicyPeer{IPBlock: &networking.IPBlock{CIDR: "10.0.0.0"}}, "ipBlock"},
		{networking.NetworkPolicyPeer{IPBlock: &networking.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"x"}}}, "except"},
		{networking.NetworkPolicyPeer{PodSelector: bad}, "podSelector"},
		{networking.NetworkPolicyPeer{NamespaceSelector: bad}, "namespaceSelector"},
		{networking.NetworkPolicyPeer{}, "no selector"},
	} {
		objects := cluster()
		objects.Policies = []*networking.NetworkPolicy{{
			ObjectMeta: meta.ObjectMeta{Namespace: "shop", Name: "odd"},
			Spec: networking.NetworkPolicySpec{
				PodSelector: meta.LabelSelector{MatchLabels: map[string]string{"app": "db"}},
				Ingress:     []networking.NetworkPolicyIngressRule{{From: []networking.NetworkPolicyPeer{test.peer}}},
			},
		}}
		ruleset, problems := Compile(objects, scope)
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), test.want) || !strings.Contains(problems[0].Error(), "shop/odd") {
			t.Errorf("%s: problems %v", test.want, problems)
		}
		if len(ruleset.isolations) != 1 || len(ruleset.isolations[0].allowed) != 0 {
			t.Errorf("%s: %+v", test.want, ruleset.isolations)
		}
	}
}

func TestNamedPortOfSidecar(t *testing.T) {
	always := core.ContainerRestartPolicyAlways
	target := pod("shop/web", "10.86.0.10", "")
	target.Spec.InitContainers = []core.Container{
		{Name: "init", Ports: []core.ContainerPort{{Name: "metrics", ContainerPort: 1}}},
		{Name: "sidecar", RestartPolicy: &always, Ports: []core.ContainerPort{{Name: "metrics", ContainerPort: 15090}}},
	}
	name := intstr.FromString("metrics")
	got := named(target, networking.NetworkPolicyPort{Port: &name})
	if want := []portRange{{"tcp", 15090, 15090}}; !slices.Equal(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}
