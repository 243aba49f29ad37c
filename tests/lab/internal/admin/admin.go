// Package admin is the HTTP API by which tests steer a running lab.
package admin

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"

	"platctl.dev/lab/internal/child"
	"platctl.dev/lab/internal/faultproxy"
	"platctl.dev/lab/internal/network"
	"platctl.dev/lab/internal/node"
	"platctl.dev/lab/internal/workload"
)

// Lab is what the API steers.
type Lab struct {
	Proxy *faultproxy.Proxy
	// Pods and Workloads are nil where the node is real.
	Pods      *node.Pods
	Balancers *network.LoadBalancers
	Workloads *workload.Manager
	// Units are the processes of the control plane and of the real node.
	Units []*child.Unit
}

// Serve answers on the listener until it is closed.
func Serve(listener net.Listener, lab *Lab) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /faults", show(func() any { return lab.Proxy.Faults.List() }))
	mux.HandleFunc("POST /faults", accept(lab.addFault))
	mux.HandleFunc("DELETE /faults", do(lab.Proxy.Faults.Clear))
	mux.HandleFunc("GET /requests", show(func() any { return lab.Proxy.Counts.Report() }))
	mux.HandleFunc("DELETE /requests", do(lab.Proxy.Counts.Reset))
	if lab.Pods != nil {
		mux.HandleFunc("GET /pods", show(func() any { return lab.Pods.Rules.List() }))
		mux.HandleFunc("POST /pods", accept(lab.addRule))
		mux.HandleFunc("DELETE /pods", do(func() { lab.Pods.Rules.Clear(); lab.Pods.LookAll() }))
	} else {
		mux.HandleFunc("/pods", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "the node is real: its pods do what their programs do", http.StatusNotFound)
		})
	}
	mux.HandleFunc("GET /processes", show(lab.processes))
	mux.HandleFunc("POST /processes/{name}/{action}", lab.control)
	mux.HandleFunc("GET /loadbalancer", show(func() any { return balancer{lab.Balancers.Enabled()} }))
	mux.HandleFunc("POST /loadbalancer", accept(lab.setBalancer))
	server := &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, net.ErrClosed) {
			log.Printf("admin API: %v", err)
		}
	}()
}

type balancer struct {
	Enabled bool `json:"enabled"`
}

func (l *Lab) addFault(body *json.Decoder) error {
	var fault faultproxy.Fault
	if err := body.Decode(&fault); err != nil {
		return err
	}
	return l.Proxy.Faults.Add(&fault)
}

func (l *Lab) addRule(body *json.Decoder) error {
	var rule node.Rule
	if err := body.Decode(&rule); err != nil {
		return err
	}
	if err := l.Pods.Rules.Add(rule); err != nil {
		return err
	}
	l.Pods.LookAll()
	return nil
}

func (l *Lab) setBalancer(body *json.Decoder) error {
	var wanted balancer
	if err := body.Decode(&wanted); err != nil {
		return err
	}
	l.Balancers.Enable(wanted.Enabled)
	return nil
}

func (l *Lab) processes() any {
	control := map[string]child.State{}
	for _, unit := range l.Units {
		control[unit.Name] = unit.State()
	}
	listed := map[string]any{"controlPlane": control}
	if l.Workloads != nil {
		listed["workloads"] = l.Workloads.List()
	}
	return listed
}

func (l *Lab) control(w http.ResponseWriter, r *http.Request) {
	name, action := r.PathValue("name"), r.PathValue("action")
	for _, unit := range l.Units {
		if unit.Name == name {
			reply(w, workload.Apply([]*child.Unit{unit}, action))
			return
		}
	}
	if l.Workloads == nil {
		http.Error(w, "no process "+name, http.StatusBadRequest)
		return
	}
	reply(w, l.Workloads.Control(name, action))
}

func show(get func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(get())
	}
}

func do(action func()) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		action()
		reply(w, nil)
	}
}

// accept refuses fields it does not know, so that a typing error in a test shows.
func accept(action func(*json.Decoder) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body := json.NewDecoder(r.Body)
		body.DisallowUnknownFields()
		reply(w, action(body))
	}
}

func reply(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
