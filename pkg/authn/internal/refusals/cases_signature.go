package refusals

import (
	"crypto/ecdsa"
	"encoding/asn1"
	"math/big"
	"slices"
	"strings"
)

func sortCases(cases []Case) {
	slices.SortStableFunc(cases, func(a, b Case) int { return strings.Compare(a.Name, b.Name) })
}

// orderEd25519 is the order of Ed25519's group.
var orderEd25519, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// signatureFile: signatures that are none.
func signatureFile() File {
	es, rs, ed := plain(), plain().by("RS256", "rsa", "rsa"), plain().by("EdDSA", "ed25519", "ed25519")
	p256 := keys["p256"].(*ecdsa.PrivateKey)
	n := p256.Curve.Params().N
	sig := es.signature()
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	must(err)
	zero := new(big.Int)
	wide := make([]byte, 66) // r and s in a byte more than they may have
	r.FillBytes(wide[:33])
	s.FillBytes(wide[33:])
	flipped := slices.Clone(sig)
	flipped[5] ^= 1
	other := es.withPayload(payload(`"sub":"bob"`))
	rsaSig := rs.signature()
	edSig := ed.signature()
	return newFile("Signatures that do not verify (RFC 7518, section 3).",
		refuse("malformed", "signature-empty", "ES256 empty", "", raw(es.signed(nil))),
		refuse("malformed", "signature-empty", "RS256 empty", "", raw(rs.signed(nil))),
		refuse("malformed", "signature-empty", "EdDSA empty", "", raw(ed.signed(nil))),
		refuse("signature", "signature-zero", "ES256 zero", "r = s = 0 (CVE-2022-21449)", raw(es.signed(make([]byte, 64)))),
		refuse("signature", "signature-zero", "ES256 with r zero", "", raw(es.signed(joinRS(p256, zero, s)))),
		refuse("signature", "signature-zero", "ES256 with s zero", "", raw(es.signed(joinRS(p256, r, zero)))),
		refuse("signature", "signature-zero", "ES256 with r = s = n", "zero once it is reduced", raw(es.signed(joinRS(p256, n, n)))),
		refuse("signature", "signature-zero", "RS256 zero", "", raw(rs.signed(make([]byte, 256)))),
		refuse("signature", "signature-zero", "EdDSA zero", "", raw(ed.signed(make([]byte, 64)))),
		refuse("signature", "signature-der", "ES256 in DER", "as X.509 spells it, not as JWS does", raw(es.signed(der))),
		refuse("signature", "signature-wrong-length", "ES256 short", "", raw(es.signed(sig[:63]))),
		refuse("signature", "signature-wrong-length", "ES256 long", "", raw(es.signed(append(slices.Clone(sig), 0)))),
		refuse("signature", "signature-wrong-length", "ES256 with wide numbers", "right numbers, 33 bytes each", raw(es.signed(wide))),
		refuse("signature", "signature-wrong-length", "ES256 with r alone", "", raw(es.signed(sig[:32]))),
		refuse("signature", "signature-wrong-length", "RS256 short", "", raw(rs.signed(rsaSig[:255]))),
		refuse("signature", "signature-wrong-length", "RS256 long", "a zero byte before it", raw(rs.signed(append([]byte{0}, rsaSig...)))),
		refuse("signature", "signature-wrong-length", "EdDSA short", "", raw(ed.signed(edSig[:63]))),
		refuse("signature", "signature-wrong-length", "EdDSA long", "", raw(ed.signed(append(slices.Clone(edSig), 0)))),
		refuse("signature", "", "ES256 with a flipped bit", "", raw(es.signed(flipped))),
		refuse("signature", "", "ES256 with r and s exchanged", "", raw(es.signed(append(slices.Clone(sig[32:]), sig[:32]...)))),
		refuse("signature", "", "ES256 with s beyond the order", "numbers are reduced", raw(es.signed(joinRS(p256, r, new(big.Int).Add(n, big.NewInt(7)))))),
		refuse("signature", "", "EdDSA with s plus the order", "not reduced (RFC 8032, section 5.1.7): a second spelling", raw(ed.signed(edNotReduced(edSig)))),
		refuse("signature", "", "signature of another payload", "known signatures vouch for nothing else", raw(other.signed(sig))),
		refuse("signature", "", "signature of another header", "", raw(es.withHeader(`{"typ":"at+jwt","alg":"ES256","kid":"p256"}`).signed(sig))),
		refuse("malformed", "", "signature of 16 KB", "longer than any key makes", raw(es.signed(make([]byte, 12<<10)))),
	)
}

func edNotReduced(sig []byte) []byte {
	out := slices.Clone(sig)
	s := slices.Clone(sig[32:])
	slices.Reverse(s) // little endian
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), orderEd25519)
	b := sum.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	copy(out[32:], b)
	return out
}
