package failures

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// dataFile is the part of testdata/refusals that is read here; README.md there
// says what the fields mean.
type dataFile struct {
	Clock   time.Time `json:"clock"`
	Issuers []struct {
		Issuer     string   `json:"issuer"`
		Algorithms []string `json:"algorithms"`
		JWKS       struct {
			Keys []json.RawMessage `json:"keys"`
		} `json:"jwks"`
	} `json:"issuers"`
	Cases []dataCase `json:"cases"`
}

type dataCase struct {
	Name   string          `json:"name"`
	Covers []string        `json:"covers"`
	Kind   string          `json:"kind"`
	Token  json.RawMessage `json:"token"`
	Expect string          `json:"expect"`
}

func (c dataCase) text(t *testing.T) string {
	t.Helper()
	var whole string
	if json.Unmarshal(c.Token, &whole) == nil {
		return whole
	}
	var parts []struct {
		Text  string `json:"text"`
		Times int    `json:"times"`
	}
	if err := json.Unmarshal(c.Token, &parts); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strings.Repeat(p.Text, max(p.Times, 1)))
	}
	return b.String()
}

func readFile(t *testing.T, name string) dataFile {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "refusals", name))
	if err != nil {
		t.Fatal(err)
	}
	var f dataFile
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestStrictness runs the cases of testdata/refusals that stand for something
// every verifier could refuse, and prints what each accepts. The first issuer
// alone is configured, without the two keys for which a peer refuses its whole
// set. auth0 takes one algorithm, so it refuses honest tokens of the others.
func TestStrictness(t *testing.T) {
	files := []string{"form.json", "header.json", "keys.json", "signature.json", "claims.json", "sizes.json", "accept.json"}
	var rows []string
	var cells [][]string
	accepted := make([]map[string]int, len(openers))
	for i := range accepted {
		accepted[i] = map[string]int{}
	}
	for _, file := range files {
		f := readFile(t, file)
		row := make([]string, len(openers))
		for column, o := range openers {
			synctest.Test(t, func(t *testing.T) {
				t.Cleanup(func() { time.Sleep(5 * time.Minute) })
				row[column] = judge(t, o, f, file == "accept.json", accepted[column])
			})
		}
		if !strings.HasPrefix(row[0], "0 ") {
			t.Errorf("%s: ours: %s", file, row[0])
		}
		name := "accepted, of " + file
		if file == "accept.json" {
			name = "refused, of " + file
		}
		rows, cells = append(rows, name), append(cells, row)
	}
	items := map[string]bool{}
	for _, m := range accepted {
		for item := range m {
			items[item] = true
		}
	}
	var sorted []string
	for item := range items {
		sorted = append(sorted, item)
	}
	slices.Sort(sorted)
	var detail [][]string
	for _, item := range sorted {
		var line []string
		for _, m := range accepted {
			line = append(line, strconv.Itoa(m[item]))
		}
		detail = append(detail, line)
	}
	fmt.Print("\nTokens that should be refused, and honest ones\n\n", table("wrong answers", rows, cells),
		"\nAccepted, by what the case stands for\n\n", table("item", sorted, detail))
}

func judge(t *testing.T, o opener, f dataFile, honest bool, accepted map[string]int) string {
	t.Helper()
	i := newIDP(t)
	var keys []string
	for _, k := range f.Issuers[0].JWKS.Keys {
		if !strings.Contains(string(k), "not-on-the-curve") && !strings.Contains(string(k), "rsa-1024") {
			keys = append(keys, string(k))
		}
	}
	i.raw = []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`)
	time.Sleep(time.Until(f.Clock))
	c, err := open(t, o, party{issuer: f.Issuers[0].Issuer, jwksURL: i.jwksURL(), keyDir: t.TempDir(), algorithms: f.Issuers[0].Algorithms})
	if err != nil {
		t.Log(o.name, err)
		return "does not start"
	}
	wrong, total := 0, 0
	for _, k := range f.Cases {
		if len(k.Covers) == 0 || k.Kind != "" || strings.Contains(k.Name, "not this issuer's") {
			continue
		}
		total++
		if try(c, k.text(t)) == nil == honest {
			continue
		}
		wrong++
		if !honest {
			for _, item := range k.Covers {
				accepted[item]++
			}
		}
	}
	return fmt.Sprintf("%d of %d", wrong, total)
}
