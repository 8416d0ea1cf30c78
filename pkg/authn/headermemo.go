package authn

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// headerMemo remembers a few headers of tokens whose signature was right. The
// tokens of one key all have the same header, letter for letter, and to decode
// and judge it again can only give the same result.
type headerMemo struct {
	seed  maphash.Seed
	known [8]atomic.Pointer[knownHeader]
}

type knownHeader struct {
	encoded string
	header  joseHeader
}

func newHeaderMemo() *headerMemo { return &headerMemo{seed: maphash.MakeSeed()} }

func (m *headerMemo) place(encoded string) *atomic.Pointer[knownHeader] {
	return &m.known[maphash.String(m.seed, encoded)%uint64(len(m.known))]
}

func (m *headerMemo) find(encoded string) (joseHeader, bool) {
	if k := m.place(encoded).Load(); k != nil && k.encoded == encoded {
		return k.header, true
	}
	return joseHeader{}, false
}

// remember keeps t's header. The signature was checked, so only an issuer can
// displace another header, and nobody can store what parseHeader refuses.
func (m *headerMemo) remember(t compactToken) {
	if t.headerKnown {
		return
	}
	encoded, _, _ := strings.Cut(t.raw, ".")
	m.place(encoded).Store(&knownHeader{encoded: strings.Clone(encoded), header: t.header})
}
