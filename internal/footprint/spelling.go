// Package footprint looks for a user ID in everything that a system keeps: each
// column of each table, each message of each stream, each entry of each bucket,
// in every spelling that an encoder could have given it. It is how an erasure is
// checked by somebody who did not do it.
package footprint

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// minBase64 is the least length, in characters, of an inner base64 piece that is
// looked for; a shorter one would be found everywhere by chance.
const minBase64 = 8

// Spellings of an ID: as it is, hexadecimal (which is how Postgres shows
// bytea), percent-encoded, JSON-escaped, and base64 in both alphabets at each of
// the three offsets at which it can stand inside something longer.
func Spellings(id string) []string {
	quoted := strconv.QuoteToASCII(id)
	out := []string{
		id, hex.EncodeToString([]byte(id)), strings.ToUpper(hex.EncodeToString([]byte(id))),
		url.QueryEscape(id), url.PathEscape(id), quoted[1 : len(quoted)-1],
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		out = append(out, encoding.EncodeToString([]byte(id)))
		for offset := range 3 {
			if piece := inner(encoding, id, offset); len(piece) >= minBase64 {
				out = append(out, piece)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// inner is the part of base64(prefix + id + suffix) that depends on id alone,
// for a prefix whose length is offset modulo 3.
func inner(encoding *base64.Encoding, id string, offset int) string {
	text := encoding.EncodeToString([]byte(strings.Repeat("\x00", offset) + id))
	// The first characters mix in bytes of the prefix: none at offset 0, two at
	// offset 1, three at offset 2.
	skip := []int{0, 2, 3}[offset]
	// Characters of a last, incomplete group change with what follows.
	whole := (offset + len(id)) / 3 * 4
	if whole <= skip {
		return ""
	}
	return text[skip:whole]
}
