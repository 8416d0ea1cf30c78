package authn_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who imports authn alone compiles neither go-kit nor anything that is for
// tests: the whole list of other modules is here.
func TestModule_WhatAnImporterCompiles(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if .Module}}{{.Module.Path}}{{end}}", ".")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	out, err := cmd.Output()
	require.NoError(t, err)
	allowed := map[string]bool{
		"github.com/shadowless/shadowless/pkg/authn": true,
		"github.com/MicahParks/jwkset":               true,
		"github.com/MicahParks/keyfunc/v3":           true,
		"github.com/go-json-experiment/json":         true,
		"github.com/golang-jwt/jwt/v5":               true,
		"github.com/sony/gobreaker/v2":               true,
		"go.yaml.in/yaml/v3":                         true,
		"golang.org/x/oauth2":                        true,
		"golang.org/x/time":                          true, // keyfunc's
	}
	for module := range strings.FieldsSeq(string(out)) {
		require.True(t, allowed[module], "importers would compile %s", module)
	}
}

// Every exported name says what it is, fields and methods included.
func TestModule_EveryExportedNameIsDocumented(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{".", "authntest", "gokit"} {
		paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		packageDoc := false
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
			require.NoError(t, err)
			packageDoc = packageDoc || f.Doc != nil
			for _, name := range undocumented(f) {
				t.Errorf("%s: %s has no comment", path, name)
			}
		}
		require.True(t, packageDoc, dir)
	}
}

func undocumented(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && (d.Recv == nil || exportedReceiver(d.Recv)) {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				names = append(names, undocumentedSpec(d, spec)...)
			}
		}
	}
	return names
}

func exportedReceiver(recv *ast.FieldList) bool {
	typ := recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

func undocumentedSpec(d *ast.GenDecl, spec ast.Spec) (names []string) {
	switch s := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() && s.Doc == nil && s.Comment == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				names = append(names, n.Name)
			}
		}
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return nil
		}
		if s.Doc == nil && d.Doc == nil {
			names = append(names, s.Name.Name)
		}
		var fields *ast.FieldList
		switch typ := s.Type.(type) {
		case *ast.StructType:
			fields = typ.Fields
		case *ast.InterfaceType:
			fields = typ.Methods
		default:
			return names
		}
		for _, field := range fields.List {
			for _, n := range field.Names {
				if n.IsExported() && field.Doc == nil && field.Comment == nil {
					names = append(names, fmt.Sprintf("%s.%s", s.Name.Name, n.Name))
				}
			}
		}
	}
	return names
}
