// Package kubelet answers what the API server asks of nodes: port-forwards, which
// end at the real process behind the pod, and logs.
package kubelet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	core "k8s.io/api/core/v1"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/cri-streaming/pkg/streaming/portforward"

	"platctl.dev/lab/internal/pki"
)

const idleTimeout = 4 * time.Hour

// Server is the kubelet of all the lab's nodes.
type Server struct {
	Pods listers.PodLister
	// Dial connects to a port of a pod.
	Dial func(ctx context.Context, pod *core.Pod, port int) (net.Conn, error)
	// Logs gives what a container has written.
	Logs func(pod *core.Pod, container string) ([]byte, error)

	server *http.Server
}

// Listen takes a loopback port; Serve answers on it.
func Listen() (net.Listener, int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, 0, err
	}
	return listener, listener.Addr().(*net.TCPAddr).Port, nil
}

// Serve answers requests of clients whose certificate the lab's CA has signed.
func (s *Server) Serve(listener net.Listener, pair pki.Pair, ca []byte) error {
	certificate, err := pair.TLS()
	if err != nil {
		return err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca)
	mux := http.NewServeMux()
	mux.HandleFunc("/portForward/{namespace}/{pod}", s.portForward)
	mux.HandleFunc("/portForward/{namespace}/{pod}/{uid}", s.portForward)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.containerLogs)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "the lab's simulated nodes do not offer "+r.URL.Path, http.StatusNotImplemented)
	})
	s.server = &http.Server{
		Handler:  mux,
		ErrorLog: log.New(io.Discard, "", 0),
		// Streaming upgrades are HTTP/1.1.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert,
		},
	}
	go func() {
		if err := s.server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Printf("kubelet: %v", err)
		}
	}()
	return nil
}

// Close cuts all connections.
func (s *Server) Close() {
	if s.server != nil {
		_ = s.server.Close()
	}
}

func (s *Server) portForward(w http.ResponseWriter, r *http.Request) {
	pod, err := s.Pods.Pods(r.PathValue("namespace")).Get(r.PathValue("pod"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, forwarder{s, pod}, pod.Name, string(pod.UID), options,
		idleTimeout, 30*time.Second, portforward.SupportedProtocols)
}

type forwarder struct {
	server *Server
	pod    *core.Pod
}

// PortForward copies between one forwarded connection and the pod's port.
func (f forwarder) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	upstream, err := f.server.Dial(ctx, f.pod, int(port))
	if err != nil {
		return fmt.Errorf("failed to connect to localhost:%d inside pod %s: %w", port, f.pod.Name, err)
	}
	defer upstream.Close()
	go func() {
		_, _ = io.Copy(upstream, stream)
		if half, ok := upstream.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}()
	_, err = io.Copy(stream, upstream)
	return err
}

func (s *Server) containerLogs(w http.ResponseWriter, r *http.Request) {
	pod, err := s.Pods.Pods(r.PathValue("namespace")).Get(r.PathValue("pod"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	text, err := s.Logs(pod, r.PathValue("container"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(lastLines(text, r.URL.Query().Get("tailLines")))
}
