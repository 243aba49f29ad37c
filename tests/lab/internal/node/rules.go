package node

import (
	"fmt"
	"regexp"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
)

// Mode is how a pod behaves.
type Mode string

// The modes that a test can choose.
const (
	Ready      Mode = "ready"
	NeverReady Mode = "never-ready"
	CrashLoop  Mode = "crashloop"
	ImagePull  Mode = "imagepull"
	Slow       Mode = "slow"
)

// Rule gives the pods it matches a mode; the newest matching rule counts.
type Rule struct {
	Match struct {
		Namespace string `json:"namespace,omitempty"`
		NameRegex string `json:"nameRegex,omitempty"`
	} `json:"match"`
	Mode Mode `json:"mode"`
	// Delay is how long a slow pod takes, for example "5s".
	Delay string `json:"delay,omitempty"`
	// Log is what `kubectl logs` shows of a crashing container.
	Log string `json:"log,omitempty"`

	pattern *regexp.Regexp
	delay   time.Duration
}

// Rules is the list of rules in force.
type Rules struct {
	mutex sync.RWMutex
	rules []Rule
}

// Add checks a rule and puts it in force.
func (r *Rules) Add(rule Rule) (err error) {
	if rule.pattern, err = regexp.Compile(rule.Match.NameRegex); err != nil {
		return err
	}
	switch rule.Mode {
	case Ready, NeverReady, CrashLoop, ImagePull, Slow:
	default:
		return fmt.Errorf("unknown mode %q", rule.Mode)
	}
	if rule.Delay != "" {
		if rule.delay, err = time.ParseDuration(rule.Delay); err != nil {
			return err
		}
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.rules = append(r.rules, rule)
	return nil
}

// Clear makes all pods behave well again.
func (r *Rules) Clear() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.rules = nil
}

// List of the rules in force, oldest first.
func (r *Rules) List() []Rule {
	r.mutex.RLock()
	defer r.mutex.RUnlock()
	return append([]Rule{}, r.rules...)
}

// For returns the rule that counts for a pod.
func (r *Rules) For(pod *core.Pod) Rule {
	r.mutex.RLock()
	defer r.mutex.RUnlock()
	for i := len(r.rules) - 1; i >= 0; i-- {
		rule := r.rules[i]
		if (rule.Match.Namespace == "" || rule.Match.Namespace == pod.Namespace) && rule.pattern.MatchString(pod.Name) {
			return rule
		}
	}
	return Rule{Mode: Ready}
}
