package policy

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// tableName is the only table that is ever touched, in the family inet.
const tableName = "lab-policy"

// Ruleset is what was decided, ready to be written for nft.
//
// The names in it are for tests to read. Each isolated pod has a counter
// <direction>/<namespace>/<pod> of the packets that were dropped; the counters
// ingress-unknown and egress-unknown are of addresses that no known pod has. The sets
// ingress-drops and egress-drops (for IPv6 ingress-drops6 and egress-drops6) hold the
// dropped flows for ten minutes. All of these outlive changes of the rules.
type Ruleset struct {
	scope      Scope
	endpoints  []endpoint
	isolations []isolation
}

// family is IPv4 or IPv6 in the words of nft.
type family struct {
	header, addressType, suffix string
	bits                        int
}

var families = []family{{"ip", "ipv4_addr", "", 32}, {"ip6", "ipv6_addr", "6", 128}}

// script is one transaction that puts the rules in the place of the previous ones, or,
// if what is there is not known, in the place of anything.
func (r *Ruleset) script(previous *Ruleset) string {
	var out strings.Builder
	if previous == nil {
		out.WriteString(removal)
	} else {
		// The table stays: deleting it would set all counters to zero.
		fmt.Fprintf(&out, "flush table inet %s\n", tableName)
		names := r.names()
		for _, name := range previous.names() {
			if !slices.Contains(names, name) {
				fmt.Fprintf(&out, "delete chain inet %s %s\ndelete counter inet %s %s\n", tableName, name, tableName, name)
			}
		}
	}
	out.WriteString(r.String())
	return out.String()
}

// removal also works when there is no table.
const removal = "add table inet " + tableName + "\ndelete table inet " + tableName + "\n"

// names of the chains, each with a counter of its own name, that come and go with pods.
func (r *Ruleset) names() (names []string) {
	for _, isolation := range r.isolations {
		names = append(names, isolation.name())
	}
	return names
}

// name is limited by nft; what is cut off is told apart by a hash.
func (i isolation) name() string {
	name := fmt.Sprintf("%s/%s/%s", i.direction, i.Namespace, i.Name)
	if len(name) > 120 {
		name = fmt.Sprintf("%s-%x", name[:100], sha256.Sum256([]byte(name)))[:120]
	}
	return name
}

// String is the whole table, as nft reads it.
func (r *Ruleset) String() string {
	var out strings.Builder
	fmt.Fprintf(&out, "table inet %s {\n", tableName)
	for _, direction := range []direction{egress, ingress} {
		r.writeDirection(&out, direction)
	}
	out.WriteString(baseChains)
	out.WriteString("}\n")
	return out.String()
}

// What is accepted here ends with the base chain; the chains of a pod return instead,
// because the other direction is still to be judged. Neighbour discovery is to IPv6
// what ARP is to IPv4, and no policy is about it. Packets from the node to itself have
// the address of the bridge, which lies among those of the pods.
const baseChains = `	chain forward {
		type filter hook forward priority filter; policy accept;
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept
		jump egress
		jump ingress
	}
	chain input {
		type filter hook input priority filter; policy accept;
		iifname "lo" accept
		ct state established,related accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept
		jump egress
	}
`

func (r *Ruleset) writeDirection(out *strings.Builder, direction direction) {
	side := map[bool]string{true: "saddr", false: "daddr"}[direction == egress]
	for _, family := range families {
		fmt.Fprintf(out, "\tset %s-drops%s {\n\t\ttype %s . %s . inet_proto . inet_service\n\t\tflags dynamic,timeout\n"+
			"\t\ttimeout 10m\n\t\tsize 4096\n\t\tcounter\n\t}\n", direction, family.suffix, family.addressType, family.addressType)
	}
	writeChain(out, string(direction)+"-record", record(direction))
	unknown := string(direction) + "-unknown"
	writeCounter(out, unknown)
	writeChain(out, unknown, refuse(direction, unknown))
	var dispatch []string
	for _, family := range families {
		for _, cidr := range r.scope.PodCIDRs {
			if cidr.Addr().BitLen() == family.bits {
				match := fmt.Sprintf("%s %s %s", family.header, side, cidr.Masked())
				if known := r.known(family); len(known) > 0 {
					match += fmt.Sprintf(" %s %s != { %s }", family.header, side, strings.Join(known, ", "))
				}
				dispatch = append(dispatch, match+" goto "+unknown)
			}
		}
	}
	targets := map[family][]string{}
	for _, isolation := range r.isolations {
		if isolation.direction != direction {
			continue
		}
		writeCounter(out, isolation.name())
		writeChain(out, isolation.name(), isolation.rules())
		for _, family := range families {
			for _, address := range family.of(isolation.prefixes()) {
				targets[family] = append(targets[family], fmt.Sprintf("%s : jump %s", address, isolation.name()))
			}
		}
	}
	for _, family := range families {
		if len(targets[family]) > 0 {
			dispatch = append(dispatch, fmt.Sprintf("%s %s vmap { %s }", family.header, side, strings.Join(targets[family], ", ")))
		}
	}
	writeChain(out, string(direction), dispatch)
}

func writeChain(out *strings.Builder, name string, rules []string) {
	fmt.Fprintf(out, "\tchain %s {\n", name)
	for _, rule := range rules {
		fmt.Fprintf(out, "\t\t%s\n", rule)
	}
	out.WriteString("\t}\n")
}

func writeCounter(out *strings.Builder, name string) { fmt.Fprintf(out, "\tcounter %s {\n\t}\n", name) }

func (r *Ruleset) known(family family) []string {
	var all []netip.Prefix
	for _, pod := range r.endpoints {
		all = append(all, pod.prefixes()...)
	}
	return family.of(all)
}

// record notes the flow; what has no ports is only counted.
func record(direction direction) (rules []string) {
	for _, family := range families {
		rules = append(rules, fmt.Sprintf("meta l4proto { tcp, udp, sctp } update @%s-drops%s { %s saddr . %s daddr . meta l4proto . th dport }",
			direction, family.suffix, family.header, family.header))
	}
	return rules
}

func refuse(direction direction, counter string) []string {
	return []string{fmt.Sprintf("jump %s-record", direction), fmt.Sprintf("counter name %s drop", counter)}
}

// rules of the chain of one pod. A pod cannot be cut off from itself.
func (i isolation) rules() (rules []string) {
	itself := allowance{reason: "itself", peers: peers{within: i.prefixes()}}
	for _, allowance := range append([]allowance{itself}, i.allowed...) {
		for _, address := range allowance.peers.matches(i.direction) {
			for _, port := range matchPorts(allowance.ports) {
				match := strings.TrimSpace(address + " " + port)
				rules = append(rules, strings.TrimSpace(fmt.Sprintf("%s return comment %q", match, shorten(allowance.reason))))
			}
		}
	}
	return append(rules, refuse(i.direction, i.name())...)
}

// shorten keeps within nft's limit for comments.
func shorten(reason string) string { return reason[:min(len(reason), 120)] }

// matches gives one expression for each family that has peers; an empty one matches all.
func (p peers) matches(direction direction) (expressions []string) {
	if p.any {
		return []string{""}
	}
	side := map[bool]string{true: "daddr", false: "saddr"}[direction == egress]
	for _, family := range families {
		within := family.of(p.within)
		if len(within) == 0 {
			continue
		}
		expression := fmt.Sprintf("%s %s { %s }", family.header, side, strings.Join(within, ", "))
		if except := family.of(p.except); len(except) > 0 {
			expression += fmt.Sprintf(" %s %s != { %s }", family.header, side, strings.Join(except, ", "))
		}
		expressions = append(expressions, expression)
	}
	return expressions
}

// of gives the prefixes of this family in order, without those that lie in another,
// which nft would refuse.
func (f family) of(prefixes []netip.Prefix) (texts []string) {
	own := slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return p.Addr().BitLen() != f.bits })
	slices.SortFunc(own, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var last netip.Prefix
	for _, prefix := range own {
		if last.IsValid() && last.Contains(prefix.Addr()) {
			continue
		}
		last = prefix
		if prefix.IsSingleIP() {
			texts = append(texts, prefix.Addr().String())
		} else {
			texts = append(texts, prefix.String())
		}
	}
	return texts
}

// matchPorts gives one expression for each protocol; an empty one matches all.
func matchPorts(ports []portRange) (expressions []string) {
	if len(ports) == 0 {
		return []string{""}
	}
	for _, protocol := range []string{"tcp", "udp", "sctp"} {
		merged := merge(ports, protocol)
		if len(merged) == 0 {
			continue
		}
		if merged[0].isWhole() {
			expressions = append(expressions, "meta l4proto "+protocol)
			continue
		}
		var texts []string
		for _, port := range merged {
			if port.first == port.last {
				texts = append(texts, fmt.Sprint(port.first))
			} else {
				texts = append(texts, fmt.Sprintf("%d-%d", port.first, port.last))
			}
		}
		expressions = append(expressions, fmt.Sprintf("%s dport { %s }", protocol, strings.Join(texts, ", ")))
	}
	return expressions
}

// merge gives the ranges of one protocol in order and without overlaps.
func merge(ports []portRange, protocol string) (merged []portRange) {
	own := slices.DeleteFunc(slices.Clone(ports), func(p portRange) bool { return p.protocol != protocol || p.last < p.first })
	slices.SortFunc(own, func(a, b portRange) int { return cmp.Compare(a.first, b.first) })
	for _, port := range own {
		if last := len(merged) - 1; last >= 0 && port.first <= merged[last].last+1 {
			merged[last].last = max(merged[last].last, port.last)
		} else {
			merged = append(merged, port)
		}
	}
	return merged
}
