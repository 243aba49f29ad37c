package faultproxy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"
)

// Fault says which requests fail and how. Its JSON form is the admin API's.
type Fault struct {
	// Method and Path choose the requests; empty means all. Path is a regular
	// expression over the path with its query.
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	// Status is an HTTP status, or "reset" or "hang".
	Status json.RawMessage `json:"status"`
	// Count is how many requests fail; 0 means all of them until faults are cleared.
	Count int `json:"count,omitempty"`
	// Skip lets that many matching requests through first.
	Skip       int    `json:"skip,omitempty"`
	RetryAfter int    `json:"retryAfter,omitempty"`
	Message    string `json:"message,omitempty"`

	// Kind is "reset", "hang" or "status".
	Kind     string `json:"-"`
	code     int
	pattern  *regexp.Regexp
	left     int
	released chan struct{}
}

// Faults is the set of faults in force.
type Faults struct {
	mutex  sync.Mutex
	faults []*Fault
}

// Add checks a fault and puts it in force.
func (f *Faults) Add(fault *Fault) error {
	if err := fault.compile(); err != nil {
		return err
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.faults = append(f.faults, fault)
	return nil
}

// Clear ends all faults and lets hanging requests go.
func (f *Faults) Clear() {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, fault := range f.faults {
		close(fault.released)
	}
	f.faults = nil
}

// List returns the faults in force with what is left of their counts.
func (f *Faults) List() []Fault {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	list := make([]Fault, 0, len(f.faults))
	for _, fault := range f.faults {
		if fault.spent() {
			continue
		}
		shown := *fault
		shown.Count = fault.left
		list = append(list, shown)
	}
	return list
}

// take returns the first fault that applies to the request and uses it up by one.
func (f *Faults) take(r *http.Request) *Fault {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, fault := range f.faults {
		if !fault.matches(r) || fault.spent() {
			continue
		}
		if fault.Skip > 0 {
			fault.Skip--
			continue
		}
		if fault.Count > 0 {
			fault.left--
		}
		return fault
	}
	return nil
}

func (f *Fault) compile() (err error) {
	if f.pattern, err = regexp.Compile(f.Path); err != nil {
		return err
	}
	f.left, f.released = f.Count, make(chan struct{})
	var word string
	if json.Unmarshal(f.Status, &word) == nil {
		if word == "reset" || word == "hang" {
			f.Kind = word
			return nil
		}
		f.code, err = strconv.Atoi(word)
	} else {
		err = json.Unmarshal(f.Status, &f.code)
	}
	f.Kind = "status"
	if err != nil || f.code < 400 || f.code > 599 {
		return fmt.Errorf("status must be 400-599, \"reset\" or \"hang\", not %s", f.Status)
	}
	return nil
}

func (f *Fault) spent() bool { return f.Count > 0 && f.left == 0 }

func (f *Fault) matches(r *http.Request) bool {
	return (f.Method == "" || f.Method == r.Method) && f.pattern.MatchString(r.URL.RequestURI())
}

// hang holds the request until the client gives up or faults are cleared.
func (f *Fault) hang(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-f.released:
	}
}

var reasons = map[int]string{
	http.StatusTooManyRequests: "TooManyRequests", http.StatusServiceUnavailable: "ServiceUnavailable",
	http.StatusForbidden: "Forbidden", http.StatusUnauthorized: "Unauthorized", http.StatusConflict: "Conflict",
	http.StatusInternalServerError: "InternalError", http.StatusGatewayTimeout: "Timeout", http.StatusNotFound: "NotFound",
}

// answer writes the Status object that an API server would.
func (f *Fault) answer(w http.ResponseWriter) {
	message := f.Message
	if message == "" {
		message = "fault injected by the lab"
	}
	status := map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure",
		"message": message, "reason": reasons[f.code], "code": f.code,
	}
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(f.RetryAfter))
		status["details"] = map[string]any{"retryAfterSeconds": f.RetryAfter}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.code)
	_ = json.NewEncoder(w).Encode(status)
}
