// Probe is the one program in the image lab.platctl.dev/probe, for try.sh and
// tests/real.rs: what its pods do, and what is asked of them from outside. What a
// pod sees of the network is in network.go.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

var commands = map[string]struct {
	arguments string
	run       func(arguments []string) error
}{
	"serve":       {"ADDRESS TEXT", func(a []string) error { return serve(a[0], a[1]) }},
	"get":         {"URL", func(a []string) error { return get(http.DefaultClient, a[0], "") }},
	"api":         {"PATH", func(a []string) error { return callAPI(a[0]) }},
	"webhook":     {"ADDRESS DIRECTORY", func(a []string) error { return webhook(a[0], a[1]) }},
	"certificate": {"DIRECTORY NAME", func(a []string) error { return certificate(a[0], a[1]) }},
	"write":       {"FILE TEXT", func(a []string) error { return os.WriteFile(a[0], []byte(a[1]), 0o644) }},
	"read":        {"FILE", func(a []string) error { return read(a[0]) }},
	"count":       {"PATTERN", func(a []string) error { return count(a[0]) }},
	"hardened":    {"", func([]string) error { return hardened() }},

	"reach":     {"ADDRESS...", reach},
	"say":       {"ADDRESS TEXT", func(a []string) error { return say(a[0], a[1]) }},
	"status":    {"METHOD URL", func(a []string) error { return status(a[0], a[1]) }},
	"handshake": {"ADDRESS ROOTS", func(a []string) error { return handshake(a[0], a[1]) }},
	"echo":      {"ADDRESS", func(a []string) error { return echo(a[0]) }},
	"converse":  {"ADDRESS", func(a []string) error { return converse(a[0]) }},
}

func main() {
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	command, known := commands[name]
	if !known || !fits(len(os.Args)-2, command.arguments) {
		for name, command := range commands {
			fmt.Fprintln(os.Stderr, "usage: probe", name, command.arguments)
		}
		os.Exit(2)
	}
	if err := command.run(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

// fits says whether there are as many arguments as told; dots stand for more of the last one.
func fits(given int, arguments string) bool {
	wanted := len(strings.Fields(arguments))
	return given == wanted || given > wanted && strings.HasSuffix(arguments, "...")
}

func serve(address, text string) error {
	fmt.Println("serving", text)
	return http.ListenAndServe(address, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, text)
	}))
}

// get asks until there is an answer: rules of a Service need a moment.
func get(client *http.Client, url, token string) error {
	var failed error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		request, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		client.Timeout = 5 * time.Second
		response, err := client.Do(request)
		if err != nil {
			failed = err
			continue
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s", url, response.Status)
		}
		_, err = io.Copy(os.Stdout, response.Body)
		return err
	}
	return failed
}

// callAPI uses what every pod is given: the Service's name, token and certificate.
func callAPI(path string) error {
	const account = "/var/run/secrets/kubernetes.io/serviceaccount/"
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	return get(client, "https://kubernetes.default.svc"+path, string(token))
}

// webhook refuses whatever is called "refused".
func webhook(address, directory string) error {
	return http.ListenAndServeTLS(address, filepath.Join(directory, "tls.crt"), filepath.Join(directory, "tls.key"), http.HandlerFunc(review))
}

func review(w http.ResponseWriter, r *http.Request) {
	var question struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Request    struct {
			UID  string `json:"uid"`
			Name string `json:"name"`
		} `json:"request"`
	}
	if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"apiVersion": question.APIVersion, "kind": question.Kind,
		"response": map[string]any{
			"uid": question.Request.UID, "allowed": question.Request.Name != "refused",
			"status": map[string]any{"message": "the probe's webhook says no"},
		},
	})
}

// certificate makes one that signs itself.
func certificate(directory, name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(directory, "tls.crt"), certificate, 0o644); err != nil {
		return err
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	return os.WriteFile(filepath.Join(directory, "tls.key"), private, 0o600)
}

func read(file string) error {
	data, err := os.ReadFile(file)
	if err == nil {
		_, err = os.Stdout.Write(data)
	}
	return err
}

func count(pattern string) error {
	found, err := filepath.Glob(pattern)
	fmt.Println(len(found))
	return err
}

// hardened looks at itself: is the pod's security context in force?
func hardened() error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	var failed []error
	for field, wanted := range map[string]string{
		"Uid": "65532 65532 65532 65532", "NoNewPrivs": "1", "Seccomp": "2",
		"CapEff": "0000000000000000", "CapBnd": "0000000000000000",
	} {
		if found := statusField(string(status), field); found != wanted {
			failed = append(failed, fmt.Errorf("%s is %s, not %s", field, found, wanted))
		}
	}
	if err := os.WriteFile("/tmp/probe", nil, 0o644); !errors.Is(err, syscall.EROFS) {
		failed = append(failed, fmt.Errorf("the root file system can be written to: %v", err))
	}
	if len(failed) == 0 {
		fmt.Println("hardened")
	}
	return errors.Join(failed...)
}

func statusField(status, field string) string {
	for line := range strings.Lines(status) {
		if rest, found := strings.CutPrefix(line, field+":"); found {
			return strings.Join(strings.Fields(rest), " ")
		}
	}
	return "missing"
}
