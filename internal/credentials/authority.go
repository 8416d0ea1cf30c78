package credentials

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Lives of certificates. A server's is renewed by the next run that finds less
// than renewBefore left of it; the services re-read theirs without a restart.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	serverLife    = 365 * 24 * time.Hour
	renewBefore   = 60 * 24 * time.Hour
	clockSkew     = 5 * time.Minute
)

// certificate is PEM, the certificate first.
type certificate struct{ chain, key string }

// authority returns the overlay's certificate authority.
func (g *generator) authority() (certificate, error) {
	var made certificate
	chain, err := g.vault.value("ca.crt", func() (string, error) {
		var err error
		made, err = issue(&x509.Certificate{
			Subject:               pkix.Name{CommonName: "Shadowless " + g.overlay.Name},
			NotBefore:             g.now().Add(-clockSkew),
			NotAfter:              g.now().Add(authorityLife),
			KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			IsCA:                  true,
			BasicConstraintsValid: true,
			MaxPathLenZero:        true,
		}, nil)
		return made.chain, err
	})
	if err != nil {
		return certificate{}, err
	}
	key, err := g.vault.value("ca.key", func() (string, error) {
		if made.key == "" {
			return "", errors.New("the authority's certificate is remembered and its key is not")
		}
		return made.key, nil
	})
	return certificate{chain: chain, key: key}, err
}

// server returns the certificate of one server of the namespace, under every
// name by which a pod or a port-forward may call it.
func (g *generator) server(name string) (certificate, error) {
	ca, err := g.authority()
	if err != nil {
		return certificate{}, err
	}
	held := certificate{chain: g.vault.values[name+"/tls.crt"], key: g.vault.values[name+"/tls.key"]}
	if g.usable(held, ca) {
		return held, nil
	}
	made, err := issue(&x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		DNSNames:    g.names(name),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore:   g.now().Add(-clockSkew),
		NotAfter:    g.now().Add(serverLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, &ca)
	if err != nil {
		return certificate{}, fmt.Errorf("certificate of %s: %w", name, err)
	}
	g.vault.set(name+"/tls.crt", made.chain)
	g.vault.set(name+"/tls.key", made.key)
	return made, nil
}

func (g *generator) names(name string) []string {
	service := name + "." + g.overlay.Namespace
	return []string{name, service, service + ".svc", service + ".svc.cluster.local", "localhost"}
}

// usable says whether a remembered certificate still serves this overlay.
func (g *generator) usable(held, ca certificate) bool {
	block, _ := pem.Decode([]byte(held.chain))
	if block == nil {
		return false
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil || cert.NotAfter.Sub(g.now()) < renewBefore {
		return false
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(ca.chain))
	for _, name := range g.names(cert.Subject.CommonName) {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, CurrentTime: g.now()}); err != nil {
			return false
		}
	}
	return true
}

// issue makes a P-256 key and signs its certificate; without a parent it signs
// itself.
func issue(template *x509.Certificate, parent *certificate) (certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificate{}, fmt.Errorf("make a key: %w", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return certificate{}, fmt.Errorf("make a serial number: %w", err)
	}
	signer, signedBy := key, template
	if parent != nil {
		if signer, signedBy, err = parent.parse(); err != nil {
			return certificate{}, err
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signedBy, &key.PublicKey, signer)
	if err != nil {
		return certificate{}, fmt.Errorf("sign a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return certificate{}, fmt.Errorf("encode a key: %w", err)
	}
	return certificate{
		chain: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	}, nil
}

func (c certificate) parse() (*ecdsa.PrivateKey, *x509.Certificate, error) {
	damaged := errors.New("the remembered certificate authority is damaged")
	certBlock, _ := pem.Decode([]byte(c.chain))
	keyBlock, _ := pem.Decode([]byte(c.key))
	if certBlock == nil || keyBlock == nil {
		return nil, nil, damaged
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, nil, damaged
	}
	private, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, nil, damaged
	}
	key, ok := private.(*ecdsa.PrivateKey)
	if !ok {
		return nil, nil, damaged
	}
	return key, cert, nil
}
