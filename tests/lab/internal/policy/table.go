package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
)

// table is the kernel's; command is nft, in the tests that of another network namespace.
type table struct {
	command []string
	// applied is what is in the kernel, nil if that is not known.
	applied *Ruleset
}

func nodeTable() *table { return &table{command: []string{"nft"}} }

// apply replaces the rules in one step: no packet is judged by half of them.
func (t *table) apply(ctx context.Context, ruleset *Ruleset) error {
	script := ruleset.script(t.applied)
	t.applied = nil
	if _, err := t.run(ctx, script, "-f", "-"); err != nil {
		return fmt.Errorf("put the NetworkPolicies in force: %w", err)
	}
	t.applied = ruleset
	return nil
}

func (t *table) remove(ctx context.Context) error {
	t.applied = nil
	if _, err := t.run(ctx, removal, "-f", "-"); err != nil {
		return fmt.Errorf("remove the table of the NetworkPolicies: %w", err)
	}
	return nil
}

func (t *table) run(ctx context.Context, input string, arguments ...string) ([]byte, error) {
	words := append(append([]string{}, t.command...), arguments...)
	command := exec.CommandContext(ctx, words[0], words[1:]...)
	var out, errors bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &errors
	if err := command.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(errors.String()))
	}
	return out.Bytes(), nil
}

// CleanUp removes the table after a lab that was killed, which has left its pods cut
// off by it. It must not be called while another lab has a real node.
func CleanUp() error { return nodeTable().remove(context.Background()) }

// Flow is one that was refused in the last ten minutes.
type Flow struct {
	// Direction is ingress or egress: whose policies refused it.
	Direction string     `json:"direction"`
	From      netip.Addr `json:"from"`
	To        netip.Addr `json:"to"`
	Protocol  string     `json:"protocol"`
	Port      int        `json:"port"`
	Packets   uint64     `json:"packets"`
}

// Refused gives the refused packets by counter (see Ruleset) and the refused flows.
func Refused(ctx context.Context) (counters map[string]uint64, flows []Flow, err error) {
	return nodeTable().refused(ctx)
}

func (t *table) refused(ctx context.Context) (counters map[string]uint64, flows []Flow, err error) {
	out, err := t.run(ctx, "", "-j", "list", "table", "inet", tableName)
	if err != nil {
		return nil, nil, fmt.Errorf("read what was refused: %w", err)
	}
	return parseRefused(out)
}

// listing is the part of nft's JSON that counts.
type listing struct {
	Items []struct {
		Counter *struct {
			Name    string
			Packets uint64
		}
		Set *struct {
			Name string
			Elem []struct {
				Elem struct {
					Val     struct{ Concat []any }
					Counter struct{ Packets uint64 }
				}
			}
		}
	} `json:"nftables"`
}

func parseRefused(data []byte) (counters map[string]uint64, flows []Flow, err error) {
	var parsed listing
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&parsed); err != nil {
		return nil, nil, fmt.Errorf("read the output of nft: %w", err)
	}
	counters = map[string]uint64{}
	for _, item := range parsed.Items {
		if item.Counter != nil {
			counters[item.Counter.Name] = item.Counter.Packets
		}
		if item.Set == nil {
			continue
		}
		direction, _, _ := strings.Cut(item.Set.Name, "-")
		for _, element := range item.Set.Elem {
			flow, err := parseFlow(element.Elem.Val.Concat)
			if err != nil {
				return nil, nil, err
			}
			flow.Direction, flow.Packets = direction, element.Elem.Counter.Packets
			flows = append(flows, flow)
		}
	}
	return counters, flows, nil
}

// parseFlow reads address, address, protocol and port; the port is the name of a
// service only if nft was asked for names.
func parseFlow(parts []any) (flow Flow, err error) {
	if len(parts) != 4 {
		return flow, fmt.Errorf("the output of nft has a flow of %d parts, not 4", len(parts))
	}
	var texts [4]string
	for i, part := range parts {
		texts[i] = fmt.Sprint(part)
	}
	if flow.From, err = netip.ParseAddr(texts[0]); err != nil {
		return flow, fmt.Errorf("the output of nft has a flow from %q: %w", texts[0], err)
	}
	if flow.To, err = netip.ParseAddr(texts[1]); err != nil {
		return flow, fmt.Errorf("the output of nft has a flow to %q: %w", texts[1], err)
	}
	flow.Protocol = texts[2]
	if _, err = fmt.Sscan(texts[3], &flow.Port); err != nil {
		return flow, fmt.Errorf("the output of nft has a flow to port %q: %w", texts[3], err)
	}
	return flow, nil
}
