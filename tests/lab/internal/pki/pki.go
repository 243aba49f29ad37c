// Package pki makes the lab's certificate authority and the certificates it signs.
// Everything lives for a day or two, as long as a lab does.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const lifetime = 48 * time.Hour

// Authority signs the certificates of one lab.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	// PEM is the CA certificate as clients want it in their kubeconfig.
	PEM []byte
}

// Pair is a certificate with its key, as PEM and as files.
type Pair struct {
	Cert, Key         []byte
	CertFile, KeyFile string
}

// TLS loads the pair for a Go server or client.
func (p Pair) TLS() (tls.Certificate, error) { return tls.X509KeyPair(p.Cert, p.Key) }

// NewAuthority makes a CA and writes it to dir/ca.crt and dir/ca.key.
func NewAuthority(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "platctl-lab-ca"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(lifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	authority := &Authority{dir: dir, cert: cert, key: key}
	pair, err := authority.write("ca", der, key)
	authority.PEM = pair.Cert
	return authority, err
}

// CAFile is the path of the CA certificate.
func (a *Authority) CAFile() string { return filepath.Join(a.dir, "ca.crt") }

// CAKeyFile is the path of the CA's key (kube-controller-manager signs CSRs with it).
func (a *Authority) CAKeyFile() string { return filepath.Join(a.dir, "ca.key") }

// Issue signs a certificate that serves for hosts (names or addresses) and as a client.
func (a *Authority) Issue(name string, subject pkix.Name, hosts ...string) (Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return Pair{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     a.cert.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, err
	}
	return a.write(name, der, key)
}

func (a *Authority) write(name string, der []byte, key *ecdsa.PrivateKey) (Pair, error) {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	pair := Pair{
		Cert:     pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:      pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		CertFile: filepath.Join(a.dir, name+".crt"),
		KeyFile:  filepath.Join(a.dir, name+".key"),
	}
	if err := os.WriteFile(pair.CertFile, pair.Cert, 0o600); err != nil {
		return Pair{}, err
	}
	if err := os.WriteFile(pair.KeyFile, pair.Key, 0o600); err != nil {
		return Pair{}, fmt.Errorf("write key of %s: %w", name, err)
	}
	return pair, nil
}
