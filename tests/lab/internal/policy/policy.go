// Package policy makes the NetworkPolicies of the API server true for the pods of
// one real node, by an nftables table of its own.
//
// compile.go and ports.go decide from objects alone what is allowed, ruleset.go
// writes it for nft, table.go and watch.go do it. Nothing here knows how the pod
// network is built; it has to satisfy the following.
//
//   - Pods talk by their own addresses: no masquerade between them, and none on the
//     way to the node.
//   - What goes from pod to pod passes the inet forward hook. On a bridge that takes
//     br_netfilter and net.bridge.bridge-nf-call-iptables=1.
//   - Services are resolved in prerouting (kube-proxy in any mode), so packets are
//     judged by the pod they go to and its port, not by the Service.
//
// Where the documentation leaves the outcome to the network plugin, it is as follows.
//
//   - From the node to its pods everything is allowed: probes of the kubelet, and also
//     webhooks that an API server on this node calls. That a policy opens the port of
//     a webhook cannot be shown here.
//   - From a pod to the node, and so to an API server on it, its egress rules decide.
//     Addresses of the node and pods with hostNetwork are matched by ipBlock or by
//     port alone, never by a selector. Pods with hostNetwork are never isolated.
//   - An ipBlock also matches pods. A port by name under an ipBlock means the pods
//     within it that have this port.
//   - Connections that exist are kept when a policy changes.
//   - Rules without ports allow every protocol; an isolated pod loses ICMP as well.
//   - Refused packets are dropped, not answered.
//
// Addresses of the pod network that no known pod has are refused both ways. So a new
// pod is never without its policies, but it is without a network until its address is
// known. The address comes with the pod's status, a second or two after its sandbox,
// or before any container starts where the CNI plugin of announce.go is in use. A
// window remains where an address changes hands sooner than the news of the former
// pod's end arrives; host-local hands out addresses in a ring, so this takes a full
// turn. A policy, or a change of labels, is in force some 50 ms after the API server
// has it.
package policy

import (
	"net/netip"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Objects is all that the rules are made from.
type Objects struct {
	Pods       []*core.Pod
	Namespaces []*core.Namespace
	Policies   []*networking.NetworkPolicy
	// Announced are addresses by the pod's UID as the CNI plugin told them. They are
	// newer than those of the status.
	Announced map[types.UID][]netip.Addr
}

// Scope says whose traffic is judged.
type Scope struct {
	// NodeName is the node whose pods are isolated; empty for all.
	NodeName string
	// PodCIDRs hold nothing but pods, and the node's own address.
	PodCIDRs []netip.Prefix
}

type direction string

const (
	ingress direction = "ingress"
	egress  direction = "egress"
)

// endpoint is a pod with addresses of its own.
type endpoint struct {
	*core.Pod
	addresses []netip.Addr
}

// isolation is one direction of one pod that some policy selects: what is not
// allowed is refused.
type isolation struct {
	endpoint
	direction direction
	allowed   []allowance
}

// allowance is traffic with one of the peers to one of the ports.
type allowance struct {
	// reason names policy and rule.
	reason string
	peers  peers
	// ports: none means any protocol and port.
	ports []portRange
}

// peers are the addresses of the other side.
type peers struct {
	any    bool
	within []netip.Prefix
	except []netip.Prefix
}

// portRange is of one protocol, in lower case; 0 to 65535 is the whole protocol.
type portRange struct {
	protocol    string
	first, last int
}

func (p portRange) isWhole() bool { return p.first == 0 && p.last == lastPort }

const lastPort = 65535
