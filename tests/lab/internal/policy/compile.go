package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// compiler holds the objects in the form that the rules need.
type compiler struct {
	endpoints  []endpoint
	namespaces map[string]labels.Set
}

// Compile decides, without looking at anything else, what is allowed. A part of a
// policy that cannot be understood allows nothing and is told as a problem; the API
// server lets none in.
func Compile(objects Objects, scope Scope) (ruleset *Ruleset, problems []error) {
	c := &compiler{endpoints: endpoints(objects), namespaces: map[string]labels.Set{}}
	for _, namespace := range objects.Namespaces {
		c.namespaces[namespace.Name] = namespace.Labels
	}
	policies := slices.Clone(objects.Policies)
	slices.SortFunc(policies, func(a, b *networking.NetworkPolicy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	ruleset = &Ruleset{scope: scope, endpoints: c.endpoints}
	for _, pod := range c.endpoints {
		if scope.NodeName != "" && pod.Spec.NodeName != scope.NodeName {
			continue
		}
		for _, direction := range []direction{egress, ingress} {
			isolation, isolated, errs := c.isolate(pod, direction, policies)
			if isolated {
				ruleset.isolations = append(ruleset.isolations, isolation)
			}
			problems = append(problems, errs...)
		}
	}
	return ruleset, problems
}

// endpoints are the pods with a network of their own, ordered by name. Each address
// belongs to one: after a pod has ended, its address may already be another's.
func endpoints(objects Objects) []endpoint {
	var found []endpoint
	owners := map[netip.Addr]*core.Pod{}
	for _, pod := range objects.Pods {
		if pod.Spec.HostNetwork || pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
			continue
		}
		addresses := objects.Announced[pod.UID]
		if len(addresses) == 0 {
			addresses = addressesOf(pod)
		}
		for _, address := range addresses {
			if other := owners[address]; other == nil || isBetterOwner(pod, other) {
				owners[address] = pod
			}
		}
		if len(addresses) > 0 {
			found = append(found, endpoint{pod, addresses})
		}
	}
	for i, pod := range found {
		found[i].addresses = slices.DeleteFunc(slices.Clone(pod.addresses), func(a netip.Addr) bool { return owners[a] != pod.Pod })
	}
	found = slices.DeleteFunc(found, func(pod endpoint) bool { return len(pod.addresses) == 0 })
	slices.SortFunc(found, func(a, b endpoint) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return found
}

func addressesOf(pod *core.Pod) (addresses []netip.Addr) {
	for _, ip := range pod.Status.PodIPs {
		if address, err := netip.ParseAddr(ip.IP); err == nil {
			addresses = append(addresses, address)
		}
	}
	if address, err := netip.ParseAddr(pod.Status.PodIP); err == nil && !slices.Contains(addresses, address) {
		addresses = append(addresses, address)
	}
	return addresses
}

// isBetterOwner prefers a pod that stays to one that goes, and then the younger.
func isBetterOwner(pod, other *core.Pod) bool {
	if going := pod.DeletionTimestamp != nil; going != (other.DeletionTimestamp != nil) {
		return !going
	}
	return other.CreationTimestamp.Before(&pod.CreationTimestamp)
}

// isolate adds up what all policies allow that select the pod for this direction.
func (c *compiler) isolate(pod endpoint, direction direction, policies []*networking.NetworkPolicy) (result isolation, isolated bool, problems []error) {
	result = isolation{endpoint: pod, direction: direction}
	for _, policy := range policies {
		if policy.Namespace != pod.Namespace || !hasType(policy, direction) {
			continue
		}
		selected, err := selects(&policy.Spec.PodSelector, pod.Labels)
		if err != nil {
			problems = append(problems, fmt.Errorf("NetworkPolicy %s/%s, podSelector: %w", policy.Namespace, policy.Name, err))
		}
		if !selected {
			continue
		}
		isolated = true
		for i, rule := range rulesOf(policy, direction) {
			reason := fmt.Sprintf("%s/%s %s %d", policy.Namespace, policy.Name, direction, i)
			allowed, err := c.allow(pod, direction, policy.Namespace, rule)
			if err != nil {
				problems = append(problems, fmt.Errorf("NetworkPolicy %s: %w", reason, err))
			}
			for _, one := range allowed {
				one.reason = reason
				result.allowed = append(result.allowed, one)
			}
		}
	}
	return result, isolated, problems
}

// hasType applies the default too, which the API server has normally written already.
func hasType(policy *networking.NetworkPolicy, direction direction) bool {
	if types := policy.Spec.PolicyTypes; len(types) > 0 {
		wanted := networking.PolicyTypeIngress
		if direction == egress {
			wanted = networking.PolicyTypeEgress
		}
		return slices.Contains(types, wanted)
	}
	return direction == ingress || len(policy.Spec.Egress) > 0
}

// rule is what ingress and egress rules have in common.
type rule struct {
	peers []networking.NetworkPolicyPeer
	ports []networking.NetworkPolicyPort
}

func rulesOf(policy *networking.NetworkPolicy, direction direction) (rules []rule) {
	if direction == ingress {
		for _, r := range policy.Spec.Ingress {
			rules = append(rules, rule{r.From, r.Ports})
		}
		return rules
	}
	for _, r := range policy.Spec.Egress {
		rules = append(rules, rule{r.To, r.Ports})
	}
	return rules
}

// allow turns one rule into allowances: for all peers that are pods, and for each
// ipBlock. No peers at all means any.
func (c *compiler) allow(pod endpoint, direction direction, namespace string, rule rule) (allowed []allowance, err error) {
	if len(rule.peers) == 0 {
		return c.withPorts(pod, direction, peers{any: true}, rule.ports), nil
	}
	var pods peers
	for _, peer := range rule.peers {
		if peer.IPBlock != nil {
			block, blockErr := parseBlock(peer.IPBlock)
			if blockErr != nil {
				err = blockErr
				continue
			}
			allowed = append(allowed, c.withPorts(pod, direction, block, rule.ports)...)
			continue
		}
		found, peerErr := c.podsOf(peer, namespace)
		if peerErr != nil {
			err = peerErr
			continue
		}
		pods.within = append(pods.within, found...)
	}
	if len(pods.within) > 0 {
		allowed = append(c.withPorts(pod, direction, pods, rule.ports), allowed...)
	}
	return allowed, err
}

func parseBlock(block *networking.IPBlock) (result peers, err error) {
	within, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return result, fmt.Errorf("ipBlock: %w", err)
	}
	result.within = []netip.Prefix{within.Masked()}
	for _, text := range block.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil {
			return result, fmt.Errorf("ipBlock, except: %w", err)
		}
		result.except = append(result.except, except.Masked())
	}
	return result, nil
}

// podsOf gives the addresses of the pods that a peer selects. Without a
// namespaceSelector these are pods of the policy's own namespace.
func (c *compiler) podsOf(peer networking.NetworkPolicyPeer, namespace string) (found []netip.Prefix, err error) {
	if peer.PodSelector == nil && peer.NamespaceSelector == nil {
		return nil, fmt.Errorf("a peer has no selector and no ipBlock")
	}
	for _, pod := range c.endpoints {
		inNamespace := pod.Namespace == namespace
		if peer.NamespaceSelector != nil {
			// A namespace that is not known yet has no labels that could be relied on.
			set, known := c.namespaces[pod.Namespace]
			matches, err := selects(peer.NamespaceSelector, set)
			if err != nil {
				return nil, fmt.Errorf("namespaceSelector: %w", err)
			}
			inNamespace = known && matches
		}
		if !inNamespace {
			continue
		}
		if peer.PodSelector != nil {
			matches, err := selects(peer.PodSelector, pod.Labels)
			if err != nil {
				return nil, fmt.Errorf("podSelector: %w", err)
			}
			if !matches {
				continue
			}
		}
		found = append(found, pod.prefixes()...)
	}
	return found, nil
}

func (e endpoint) prefixes() (prefixes []netip.Prefix) {
	for _, address := range e.addresses {
		prefixes = append(prefixes, netip.PrefixFrom(address, address.BitLen()))
	}
	return prefixes
}

func selects(selector *meta.LabelSelector, set labels.Set) (bool, error) {
	parsed, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, err
	}
	return parsed.Matches(set), nil
}
