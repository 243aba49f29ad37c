package policy

import (
	"net/netip"
	"slices"
	"strings"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// withPorts joins peers and ports. A port by name is the receiving pod's: for ingress
// the isolated pod's own, for egress each peer's, so that it may be another number for
// each of them. A name that the receiver does not have allows nothing.
func (c *compiler) withPorts(pod endpoint, direction direction, others peers, ports []networking.NetworkPolicyPort) (allowed []allowance) {
	if len(ports) == 0 {
		return []allowance{{peers: others}}
	}
	var ranges []portRange
	for _, port := range ports {
		switch {
		case !isName(port):
			ranges = append(ranges, numbered(port))
		case direction == ingress:
			ranges = append(ranges, named(pod.Pod, port)...)
		default:
			allowed = append(allowed, c.namedByPeer(others, port)...)
		}
	}
	if len(ranges) > 0 {
		allowed = append([]allowance{{peers: others, ports: ranges}}, allowed...)
	}
	return allowed
}

func isName(port networking.NetworkPolicyPort) bool {
	return port.Port != nil && port.Port.Type == intstr.String
}

func protocolOf(port networking.NetworkPolicyPort) core.Protocol {
	if port.Protocol == nil {
		return core.ProtocolTCP
	}
	return *port.Protocol
}

func numbered(port networking.NetworkPolicyPort) portRange {
	result := portRange{strings.ToLower(string(protocolOf(port))), 0, lastPort}
	if port.Port != nil {
		result.first = port.Port.IntValue()
		result.last = result.first
		if port.EndPort != nil {
			result.last = int(*port.EndPort)
		}
	}
	return result
}

// named finds the ports of this name among the containers that serve: sidecars are
// init containers that always restart.
func named(pod *core.Pod, port networking.NetworkPolicyPort) (found []portRange) {
	containers := slices.Clone(pod.Spec.Containers)
	for _, container := range pod.Spec.InitContainers {
		if policy := container.RestartPolicy; policy != nil && *policy == core.ContainerRestartPolicyAlways {
			containers = append(containers, container)
		}
	}
	for _, container := range containers {
		for _, candidate := range container.Ports {
			protocol := candidate.Protocol
			if protocol == "" {
				protocol = core.ProtocolTCP
			}
			if candidate.Name == port.Port.StrVal && protocol == protocolOf(port) {
				number := int(candidate.ContainerPort)
				found = append(found, portRange{strings.ToLower(string(protocol)), number, number})
			}
		}
	}
	return found
}

// namedByPeer gives one allowance for each number that stands behind the name.
func (c *compiler) namedByPeer(others peers, port networking.NetworkPolicyPort) (allowed []allowance) {
	for _, pod := range c.endpoints {
		reached := slices.DeleteFunc(pod.prefixes(), func(p netip.Prefix) bool { return !others.contain(p.Addr()) })
		if len(reached) == 0 {
			continue
		}
		for _, found := range named(pod.Pod, port) {
			same := slices.IndexFunc(allowed, func(a allowance) bool { return a.ports[0] == found })
			if same < 0 {
				same = len(allowed)
				allowed = append(allowed, allowance{ports: []portRange{found}})
			}
			allowed[same].peers.within = append(allowed[same].peers.within, reached...)
		}
	}
	return allowed
}

func (p peers) contain(address netip.Addr) bool {
	holds := func(prefix netip.Prefix) bool { return prefix.Contains(address) }
	return p.any || slices.ContainsFunc(p.within, holds) && !slices.ContainsFunc(p.except, holds)
}
