package address_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/onebeat/onebeat/internal/broker/address"
)

// authority writes a certificate of its own for "broker.test" and returns its
// file and what a server needs.
func authority(t *testing.T) (string, tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker.test"}, DNSNames: []string{"broker.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// serve shakes hands with whoever connects.
func serve(t *testing.T, certificate tls.Certificate) net.Listener {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake() // the client judges
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return listener
}

func TestTLS(t *testing.T) {
	trusted, certificate := authority(t)
	other, _ := authority(t)
	listener := serve(t, certificate)
	for _, tt := range []struct {
		name, host string
		query      url.Values
		ok         bool
	}{
		{"trusts no stranger", "broker.test", nil, false},
		{"trusts the authority it is given", "broker.test", url.Values{"ssl_ca_certs": {trusted}}, true},
		{"not another", "broker.test", url.Values{"ssl_ca_certs": {other}}, false},
		{"nor another name", "127.0.0.1", url.Values{"ssl_ca_certs": {trusted}}, false},
		{"unless told which", "127.0.0.1", url.Values{"ssl_ca_certs": {trusted}, "ssl_server_hostname": {"broker.test"}}, true},
		{"or that any will do", "127.0.0.1", url.Values{"ssl_ca_certs": {trusted}, "ssl_check_hostname": {"false"}}, true},
		{"but not from a stranger", "127.0.0.1", url.Values{"ssl_ca_certs": {other}, "ssl_check_hostname": {"false"}}, false},
		{"trusts anyone if told so", "127.0.0.1", url.Values{"ssl_cert_reqs": {"none"}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config, err := address.TLS(tt.host, tt.query)
			if err != nil {
				t.Fatal(err)
			}
			dialer := tls.Dialer{Config: config}
			conn, err := dialer.DialContext(t.Context(), "tcp", listener.Addr().String())
			if err == nil {
				conn.Close()
			}
			if (err == nil) != tt.ok {
				t.Errorf("handshake: %v, want success %v", err, tt.ok)
			}
		})
	}
}

func TestParseKnowsTheRestOfAPasswordFromAPath(t *testing.T) {
	for raw, want := range map[string]bool{
		"redis://h:6379/0": true, "redis://:12%2F34@h/0": true, "amqp://me:pw@h/v@w": true, "redis+socket:///run/me@corp.sock": true, "amqp://h?user=me@corp": true,
		"redis://:12/34@h/0": false, "redis://:/34@h/0": false, "redis://:12?34@h/0": false, "redis://:12#34@h/0": false, "amqp://me@corp:12#34@h/v": false,
		"redis://:p@ss/word@h:6379/0": false, "amqp://me:p@ss/word@h/v": false,
	} {
		if _, err := address.Parse(raw); (err == nil) != want {
			t.Errorf("Parse(%s): %v, want it read %v", raw, err, want)
		}
		if shown := address.Redact(raw); !want && shown != "(unreadable URL)" {
			t.Errorf("Redact(%s) = %s", raw, shown)
		}
	}
}
