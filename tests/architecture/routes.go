package architecture

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// outsideTable are the probes, which internal/httpserver serves for everybody.
var outsideTable = []string{"GET /livez", "GET /readyz"}

// APIRoutes leaves out the pages of a web site, which are for people and have no
// OpenAPI document: an API's paths begin with a version.
func APIRoutes(patterns []string) []string {
	return slices.DeleteFunc(slices.Clone(patterns), func(pattern string) bool {
		_, path, _ := strings.Cut(pattern, " ")
		return !strings.HasPrefix(path, "/v1/")
	})
}

// DocumentedRoutes reads "METHOD /path" from an OpenAPI document.
func DocumentedRoutes(ctx context.Context, raw []byte) ([]string, error) {
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if err := doc.Validate(ctx); err != nil {
		return nil, fmt.Errorf("validate the OpenAPI document: %w", err)
	}
	var routes []string
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			routes = append(routes, method+" "+path)
		}
	}
	sort.Strings(routes)
	return routes, nil
}

// RouteDifferences finds routes that only the access table or only the OpenAPI
// document knows.
func RouteDifferences(service string, table, documented []string) []error {
	var faults []error
	for i, route := range table {
		table[i] = documentedForm(route)
	}
	for _, route := range table {
		if !slices.Contains(documented, route) && !slices.Contains(outsideTable, route) {
			faults = append(faults, fmt.Errorf("%s: %q is in the access table and not in openapi.yaml", service, route))
		}
	}
	for _, route := range documented {
		if !slices.Contains(table, route) && !slices.Contains(outsideTable, route) {
			faults = append(faults, fmt.Errorf("%s: %q is in openapi.yaml and not in the access table", service, route))
		}
	}
	return faults
}

// documentedForm writes a net/http pattern the way OpenAPI does.
func documentedForm(pattern string) string {
	pattern = strings.TrimSuffix(pattern, "{$}")
	return strings.ReplaceAll(pattern, "...}", "}")
}
