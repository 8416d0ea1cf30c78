package gen_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/shadowless/shadowless/pkg/identity"
)

const eventFolder = "../events"

func schemaOf(t *testing.T, c identity.Contract) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile(filepath.Join(eventFolder, c.SchemaFile()))
	require.NoError(t, err)
	return schema
}

func validate(schema *jsonschema.Schema, raw []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

func sample(c identity.Contract) identity.Event {
	e := identity.Event{
		ID: "0198c0de-0000-7000-8000-000000000000", Source: "/identity-relay", Type: c.Type, Version: 1<<63 - 1, UserID: "auth0|a b",
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), SessionID: "s1", ErasureID: "0198c0de-0000-7000-8000-000000000001",
	}
	switch c.Data {
	case reflect.TypeFor[identity.Rekeying]():
		e.Data = json.RawMessage(`{"rekey_id":"0198c0de-0000-7000-8000-000000000002","new_user_id":"auth0|c d"}`)
	case reflect.TypeFor[identity.AccessChange]():
		e.Data = json.RawMessage(`{"entity_type":"client_shop:order","entity_id":"*","relation":"customer","change":"granted"}`)
	}
	return e
}

// Every type constant of pkg/identity has a contract.
func TestContracts_CoverEveryType(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../../pkg/identity/event.go", nil, 0)
	require.NoError(t, err)
	known := map[string]bool{}
	for _, c := range identity.Contracts() {
		known[c.Type] = true
	}
	n := 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, "Type") {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			require.True(t, known[value], value)
			n++
		}
		return true
	})
	require.Len(t, known, n)
}

// What Encode writes, the schema allows; what Decode refuses, the schema refuses.
func TestSchemas_AgreeWithTheCodec(t *testing.T) {
	t.Parallel()
	for _, c := range identity.Contracts() {
		schema := schemaOf(t, c)
		raw, err := identity.Encode(sample(c))
		require.NoError(t, err)
		require.NoError(t, validate(schema, raw), c.Type)

		var event map[string]any
		require.NoError(t, json.Unmarshal(raw, &event))
		for _, name := range []string{"specversion", "id", "source", "type", "time", "data"} {
			requireRefused(t, schema, event, func(e, _ map[string]any) { delete(e, name) }, c.Type, name)
		}
		for _, name := range append([]string{"version"}, c.Required...) {
			requireRefused(t, schema, event, func(_, data map[string]any) { delete(data, name) }, c.Type, name)
			requireRefused(t, schema, event, func(_, data map[string]any) { data[name] = nil }, c.Type, name)
		}
		for name, change := range map[string]func(e, data map[string]any){
			"specversion": func(e, _ map[string]any) { e["specversion"] = "2.0" },
			"media type":  func(e, _ map[string]any) { e["datacontenttype"] = "text/xml" },
			"time":        func(e, _ map[string]any) { e["time"] = "yesterday" },
			"long ID":     func(e, _ map[string]any) { e["id"] = strings.Repeat("e", 256) },
			"version":     func(_, data map[string]any) { data["version"] = -1 },
			"fraction":    func(_, data map[string]any) { data["version"] = 1.5 },
		} {
			requireRefused(t, schema, event, change, c.Type, name)
		}
	}
}

func requireRefused(t *testing.T, schema *jsonschema.Schema, event map[string]any, change func(e, data map[string]any), kind, name string) {
	t.Helper()
	raw, err := json.Marshal(event)
	require.NoError(t, err)
	var changed map[string]any
	require.NoError(t, json.Unmarshal(raw, &changed))
	change(changed, changed["data"].(map[string]any))
	raw, err = json.Marshal(changed)
	require.NoError(t, err)
	require.Error(t, validate(schema, raw), "the schema of %s: %s", kind, name)
	if changed["type"] != nil {
		_, err = identity.Decode(raw)
		require.ErrorIs(t, err, identity.ErrInvalidEvent, "%s: %s", kind, name)
	}
}

// Version 2 adds attributes and members; version 1's schema and codec take it.
func TestSchemas_OfVersion1AllowVersion2(t *testing.T) {
	t.Parallel()
	for _, c := range identity.Contracts() {
		first := sample(c)
		first.Version = 7 // a number that encoding/json reads and writes alike
		raw, err := identity.Encode(first)
		require.NoError(t, err)
		var event map[string]any
		require.NoError(t, json.Unmarshal(raw, &event))
		event["dataschema"] = "https://example.com/" + c.Type + ".v2.schema.json"
		event["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		event["data"].(map[string]any)["reason"] = map[string]any{"codes": []any{1, nil}}
		raw, err = json.Marshal(event)
		require.NoError(t, err)
		require.NoError(t, validate(schemaOf(t, c), raw), c.Type)
		_, err = identity.Decode(raw)
		require.NoError(t, err, c.Type)
	}
}

func TestAsyncAPI_NamesEveryTypeAndItsRefsLeadSomewhere(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(eventFolder, "asyncapi.yaml"))
	require.NoError(t, err)
	var document map[string]any
	require.NoError(t, yaml.Unmarshal(raw, &document))
	require.Equal(t, "3.0.0", document["asyncapi"])
	channels := document["channels"].(map[string]any)
	require.Len(t, channels, len(identity.Contracts()))
	for _, c := range identity.Contracts() {
		channel := channels[c.Type].(map[string]any)
		subject := identity.Subject(sample(c))
		require.Equal(t, channel["address"], subject[:len(subject)-2]+"{partition}")
		require.Contains(t, document["operations"], c.Type)
	}
	refs := 0
	var follow func(node any)
	follow = func(node any) {
		switch value := node.(type) {
		case []any:
			for _, item := range value {
				follow(item)
			}
		case map[string]any:
			if ref, ok := value["$ref"].(string); ok {
				refs++
				requireTarget(t, document, ref)
			}
			for _, item := range value {
				follow(item)
			}
		}
	}
	follow(document)
	require.Equal(t, 5*len(identity.Contracts()), refs)
}

func requireTarget(t *testing.T, document map[string]any, ref string) {
	t.Helper()
	pointer, local := strings.CutPrefix(ref, "#/")
	if !local {
		_, err := os.Stat(filepath.Join(eventFolder, ref))
		require.NoError(t, err)
		return
	}
	var node any = document
	for name := range strings.SplitSeq(pointer, "/") {
		inner, ok := node.(map[string]any)
		require.True(t, ok, ref)
		node = inner[name]
		require.NotNil(t, node, ref)
	}
}
