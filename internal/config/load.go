// Package config reads a service's configuration from its environment and
// reports every fault at once.
package config

import (
	"errors"
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Variable describes one environment variable of a configuration.
type Variable struct {
	Name    string
	Default string
	Doc     string

	field string // the name of the field that holds it
}

// faulty is a configuration that can check itself.
type faulty interface{ Faults() []error }

// Load fills C from environ ("NAME=value"). Every fault is reported: values
// that do not parse, variables with the service's prefix that do not exist, and
// what C itself finds.
func Load[C any](prefix string, environ []string) (C, error) {
	var c C
	values := env.ToMap(environ)
	known := Variables[C]()
	faults := unknown(known, prefix, values)
	unread := map[string]bool{}
	if err := env.ParseWithOptions(&c, env.Options{Environment: values}); err != nil {
		all, ok := errors.AsType[env.AggregateError](err)
		if !ok {
			all.Errors = []error{err}
		}
		for _, fault := range all.Errors {
			name, named := unreadable(known, fault)
			unread[name] = true
			faults = append(faults, named)
		}
	}
	if f, ok := any(c).(faulty); ok {
		for _, fault := range f.Faults() {
			// What could not be read has been named; its zero value is no second fault.
			if fault != nil && !unread[firstWord(fault)] {
				faults = append(faults, fault)
			}
		}
	}
	if len(faults) > 0 {
		return c, &FaultsError{Faults: faults}
	}
	return c, nil
}

// unreadable names the variable where the parser names the field.
func unreadable(known []Variable, fault error) (name string, named error) {
	var parse env.ParseError
	if !errors.As(fault, &parse) {
		return "", fault
	}
	for _, v := range known {
		if v.field == parse.Name {
			return v.Name, fmt.Errorf("%s: %w", v.Name, parse.Err)
		}
	}
	return "", fault
}

func firstWord(fault error) string {
	word, _, _ := strings.Cut(fault.Error(), " ")
	return word
}

// FaultsError is everything that is wrong with a configuration.
type FaultsError struct{ Faults []error }

func (e *FaultsError) Error() string {
	lines := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		lines[i] = "  - " + fault.Error()
	}
	return fmt.Sprintf("%d fault(s) in the configuration:\n%s", len(lines), strings.Join(lines, "\n"))
}

// Unwrap gives errors.Is and errors.As the single faults.
func (e *FaultsError) Unwrap() []error { return e.Faults }

// Variables lists what C reads, sorted by name.
func Variables[C any]() []Variable {
	var out []Variable
	collect(reflect.TypeFor[C](), "", &out)
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func collect(t reflect.Type, prefix string, out *[]Variable) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		switch {
		case name == "-":
		case name != "":
			*out = append(*out, Variable{Name: prefix + name, Default: f.Tag.Get("envDefault"), Doc: f.Tag.Get("doc"), field: f.Name})
		case f.Type.Kind() == reflect.Struct:
			collect(f.Type, prefix+f.Tag.Get("envPrefix"), out)
		}
	}
}

func unknown(known []Variable, prefix string, values map[string]string) []error {
	names := make(map[string]bool, len(known))
	for _, v := range known {
		names[v.Name] = true
	}
	var faults []error
	for name := range values {
		// Kubernetes injects <SERVICE>_SERVICE_HOST, _PORT and _PORT_… for every
		// Service of the namespace unless enableServiceLinks is off.
		if strings.HasPrefix(name, prefix) && !names[name] && !serviceLink(name, prefix) {
			faults = append(faults, fmt.Errorf("%s is not a known variable", name))
		}
	}
	sort.Slice(faults, func(i, j int) bool { return faults[i].Error() < faults[j].Error() })
	return faults
}

func serviceLink(name, prefix string) bool {
	rest := strings.TrimPrefix(name, prefix)
	return rest == "PORT" || strings.HasPrefix(rest, "PORT_") || strings.HasPrefix(rest, "SERVICE_HOST") || strings.HasPrefix(rest, "SERVICE_PORT")
}
