package identity

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

func plainText(s string, limit int) bool {
	if s == "" || len(s) > limit || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// loneSurrogate reports whether JSON text holds an escaped UTF-16 surrogate
// without its partner, which encoding/json would silently turn into U+FFFD.
func loneSurrogate(raw []byte) bool {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		unit, ok := escapedUnit(raw, i)
		if !ok {
			continue
		}
		i += 4
		switch {
		case unit >= 0xDC00 && unit <= 0xDFFF:
			return true
		case unit >= 0xD800 && unit <= 0xDBFF:
			low, ok := escapedUnit(raw, i+2)
			if !ok || raw[i+1] != '\\' || low < 0xDC00 || low > 0xDFFF {
				return true
			}
			i += 6
		}
	}
	return false
}

// escapedUnit reads the four hex digits after a `u` at position i.
func escapedUnit(raw []byte, i int) (uint64, bool) {
	if i < 0 || i+5 > len(raw) || raw[i] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(raw[i+1:i+5]), 16, 16)
	return unit, err == nil
}
