package postgres

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
)

// statusPort is a constant of CloudNativePG.
const statusPort = "8000"

type server struct{ http *http.Server }

// listen serves what upstream's NewRemoteWebServer does, except for what only
// backups, upgrades of the manager and replica clusters need.
func listen(in *instance) (*server, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(in.pod.Status.PodIP, statusPort))
	if err != nil {
		return nil, err
	}
	opened := &server{http: &http.Server{
		Handler: in.handler(),
		// Probes and the operator come and go; what TLS makes of it is nobody's business.
		ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS13,
			ClientAuth: tls.RequestClientCert,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				in.kind.mutex.Lock()
				defer in.kind.mutex.Unlock()
				return in.certificate, nil
			},
		},
	}}
	go func() { _ = opened.http.ServeTLS(listener, "", "") }()
	return opened, nil
}

// close cuts the operator's idle connections as well.
func (s *server) close() {
	if s != nil {
		_ = s.http.Close()
	}
}

func (in *instance) handler() http.Handler {
	mux := http.NewServeMux()
	for _, probe := range []string{"/healthz", "/readyz", "/startupz", "/failsafe"} {
		mux.HandleFunc(probe, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "OK") })
	}
	mux.HandleFunc("/pg/status", func(w http.ResponseWriter, _ *http.Request) {
		in.kind.mutex.Lock()
		body, err := json.Marshal(in.status())
		in.kind.mutex.Unlock()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not offered by the lab's stand-in", http.StatusNotImplemented)
	})
	return mux
}
