package docs

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// LinkFaults finds links to files and headings that do not exist.
func LinkFaults(root string, documents []Document) []error {
	byPath := map[string]Document{}
	for _, d := range documents {
		byPath[d.Path] = d
	}
	var faults []error
	for _, d := range documents {
		for _, l := range d.Links {
			target, err := url.Parse(l.Text)
			if err != nil {
				faults = append(faults, d.fault(l.Line, "%s is no address", l.Text))
				continue
			}
			if target.Scheme != "" {
				continue
			}
			name := d.Path
			if target.Path != "" {
				name = path.Join(path.Dir(d.Path), target.Path)
			}
			if _, err := os.Stat(filepath.Join(root, name)); err != nil || strings.HasPrefix(name, "..") {
				faults = append(faults, d.fault(l.Line, "%s leads nowhere", l.Text))
			} else if other, known := byPath[name]; target.Fragment != "" && (!known || !other.Anchors[target.Fragment]) {
				faults = append(faults, d.fault(l.Line, "%s has no heading #%s", name, target.Fragment))
			}
		}
	}
	return faults
}

// file is inline code that names a file or a folder of ours.
var file = regexp.MustCompile(`^(cmd|compare|deploy|docs|examples|internal|pkg|scripts|services|tests|tilt)/[\w./*{},-]+$`)

// placeholder marks a name that stands for several: services/X/api, a version.
var placeholder = regexp.MustCompile(`(^|/)(X|v[0-9X][\w.]*)(/|$)`)

// FileFaults finds names of files that do not exist, seen from the root, from the
// document, from a folder between them, or from a service.
func FileFaults(root string, documents []Document) []error {
	var faults []error
	for _, d := range documents {
		for _, c := range d.Codes {
			isTest := strings.Contains(c.Text, ".Test")
			if isTest || !file.MatchString(c.Text) || strings.ContainsAny(c.Text, "{}") || placeholder.MatchString(c.Text) {
				continue
			}
			if !exists(root, d.Path, c.Text) {
				faults = append(faults, d.fault(c.Line, "there is no %s", c.Text))
			}
		}
	}
	return faults
}

func exists(root, document, name string) bool {
	from := []string{"services/*"}
	for folder := path.Dir(document); ; folder = path.Dir(folder) {
		from = append(from, folder)
		if folder == "." {
			break
		}
	}
	for _, folder := range from {
		if found, _ := filepath.Glob(filepath.Join(root, folder, name)); len(found) > 0 { // names have no brackets
			return true
		}
	}
	return false
}
