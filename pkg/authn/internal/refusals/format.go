// Package refusals makes the data files in testdata/refusals: tokens that a
// verifier must refuse, and some that it must accept. The keys are fixed, and
// so is every signature, so that the files change only when a case does.
package refusals

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// Accept is the Expect of a token that must be accepted.
const Accept = "accept"

// File is one data file. README.md beside the files says what each field means.
type File struct {
	About     string    `json:"about"`
	Clock     time.Time `json:"clock"`
	Leeway    int       `json:"leeway_seconds"`
	Audiences []string  `json:"audiences"`
	Issuers   []Issuer  `json:"issuers"`
	Cases     []Case    `json:"cases"`
}

// Issuer is a party whose tokens are accepted.
type Issuer struct {
	Issuer        string         `json:"issuer"`
	Profile       string         `json:"profile"`
	Algorithms    []string       `json:"algorithms,omitempty"`
	UserNamespace string         `json:"user_namespace,omitempty"`
	JWKS          map[string]any `json:"jwks"`
}

// Case is one token and what is expected of it.
type Case struct {
	Name   string   `json:"name"`
	Covers []string `json:"covers,omitempty"`
	Why    string   `json:"why,omitempty"`
	// Kind is "set" for a Security Event Token, else empty.
	Kind   string  `json:"kind,omitempty"`
	Token  Token   `json:"token"`
	Expect string  `json:"expect"`
	Caller *Caller `json:"caller,omitempty"`
}

// Caller is what an accepted token says.
type Caller struct {
	Kind     string `json:"kind"`
	Subject  string `json:"subject"`
	UserID   string `json:"user_id,omitempty"`
	ClientID string `json:"client_id,omitempty"`
}

// Token is a text in parts, so that a huge one needs no huge file.
type Token []Part

// Part is Text, Times times; Times 0 is once.
type Part struct {
	Text  string `json:"text"`
	Times int    `json:"times,omitempty"`
}

// String puts the token together.
func (t Token) String() string {
	var b strings.Builder
	for _, p := range t {
		b.WriteString(strings.Repeat(p.Text, max(p.Times, 1)))
	}
	return b.String()
}

// MarshalJSON writes a token of one part as a string.
func (t Token) MarshalJSON() ([]byte, error) {
	if len(t) == 1 && t[0].Times <= 1 {
		return marshal(t[0].Text)
	}
	return marshal([]Part(t))
}

// UnmarshalJSON reads both forms.
func (t *Token) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*t = Token{{}}
		return json.Unmarshal(data, &(*t)[0].Text)
	}
	return json.Unmarshal(data, (*[]Part)(t))
}

// marshal is json.Marshal without the escapes that only HTML needs.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// Files is the content of each data file by its name.
func Files() map[string][]byte {
	files := map[string][]byte{}
	for name, f := range map[string]File{
		"form.json":      formFile(),
		"header.json":    headerFile(),
		"keys.json":      keysFile(),
		"signature.json": signatureFile(),
		"claims.json":    claimsFile(),
		"sizes.json":     sizesFile(),
		"sets.json":      setsFile(),
		"accept.json":    acceptFile(),
		"profiles.json":  profilesFile(),
	} {
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		must(enc.Encode(f))
		files[name] = b.Bytes()
	}
	return files
}
