package main

// What a pod sees of the network. A refusal is an answer here, no error: it is
// printed, in one word at the beginning of the line, for the test to judge.

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Short, as there may be many packets that nobody answers, and long for one machine.
const patience = 5 * time.Second

// refusal tells a dropped packet (timeout), a packet sent back (refused) and a
// connection that was accepted and then ended (closed) from one another.
func refusal(err error) string {
	var network net.Error
	var dial *net.OpError
	switch {
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.As(err, &dial) && dial.Op == "dial":
		return "refused: " + err.Error()
	default:
		return "closed: " + err.Error()
	}
}

// reach tries all at once: is there somebody who takes a connection?
func reach(addresses []string) error {
	found := make([]string, len(addresses))
	var all sync.WaitGroup
	for i, address := range addresses {
		all.Go(func() {
			connection, err := net.DialTimeout("tcp", address, patience)
			if err != nil {
				found[i] = refusal(err)
				return
			}
			found[i] = "connected"
			connection.Close()
		})
	}
	all.Wait()
	for i, address := range addresses {
		fmt.Println(address, found[i])
	}
	return nil
}

// say sends a text, escaped as in Go, and prints the beginning of what comes back.
func say(address, text string) error {
	bytes, err := strconv.Unquote(`"` + text + `"`)
	if err != nil {
		return fmt.Errorf("the text %q: %w", text, err)
	}
	connection, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		fmt.Println(refusal(err))
		return nil
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(connection, bytes); err != nil {
		fmt.Println(refusal(err))
		return nil
	}
	answer := make([]byte, 100)
	length, err := connection.Read(answer)
	if length == 0 {
		fmt.Println(refusal(err))
		return nil
	}
	fmt.Printf("answered: %q\n", answer[:length])
	return nil
}

// status asks once and prints status and beginning of the answer. It does not look
// at the certificate of an https server: who that is, is not the question.
func status(method, url string) error {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return err
	}
	client := &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	response, err := client.Do(request)
	if err != nil {
		fmt.Println(refusal(err))
		return nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 100))
	if err != nil {
		return fmt.Errorf("the answer of %s: %w", url, err)
	}
	fmt.Println(response.StatusCode, strings.TrimSpace(string(body)))
	return nil
}

// handshake begins a connection as the mesh does, without a certificate of its own,
// and prints the one that the server shows. It fails unless that comes from the
// authority in the file ROOTS.
func handshake(address, file string) error {
	authority, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return fmt.Errorf("no certificate in %s", file)
	}
	var shown *x509.Certificate
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{Timeout: patience},
		Config: &tls.Config{
			// Names in the mesh are URIs, which Go does not check by itself.
			InsecureSkipVerify: true,
			NextProtos:         []string{"istio"},
			VerifyConnection: func(state tls.ConnectionState) error {
				shown = state.PeerCertificates[0]
				between := x509.NewCertPool()
				for _, certificate := range state.PeerCertificates[1:] {
					between.AddCert(certificate)
				}
				_, err := shown.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
				return err
			},
		},
	}
	connection, err := dialer.Dial("tcp", address)
	if err != nil {
		return fmt.Errorf("the handshake with %s: %w", address, err)
	}
	defer connection.Close()
	if len(shown.URIs) != 1 {
		return fmt.Errorf("the certificate of %s has %d URIs", address, len(shown.URIs))
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"identity": shown.URIs[0].String(),
		"seconds":  int(shown.NotAfter.Sub(shown.NotBefore).Seconds()),
	})
}

// echo sends every line back.
func echo(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			_, _ = io.Copy(connection, connection)
		}()
	}
}

// converse keeps one connection and says line after line on it, ten in a second. It
// ends with the first that does not come back, and never by itself.
func converse(address string) error {
	connection, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return err
	}
	defer connection.Close()
	lines := bufio.NewReader(connection)
	for number := 1; ; number++ {
		if err := connection.SetDeadline(time.Now().Add(2 * patience)); err != nil {
			return err
		}
		said := fmt.Sprintf("line %d\n", number)
		if _, err := io.WriteString(connection, said); err != nil {
			return fmt.Errorf("after %d lines: %w", number-1, err)
		}
		heard, err := lines.ReadString('\n')
		if err != nil {
			return fmt.Errorf("after %d lines: %w", number-1, err)
		}
		if heard != said {
			return fmt.Errorf("said %q and heard %q", said, heard)
		}
		fmt.Print(heard)
		time.Sleep(100 * time.Millisecond)
	}
}
