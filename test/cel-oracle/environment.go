package main

import (
	"encoding/json"
	"fmt"
	"sort"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/library"
)

// typeJSON is the shape of CelType in src/identity/cel/cel.ts.
type typeJSON struct {
	Kind    string              `json:"kind"`
	Element *typeJSON           `json:"element"`
	Key     *typeJSON           `json:"key"`
	Value   *typeJSON           `json:"value"`
	Name    string              `json:"name"`
	Fields  map[string]typeJSON `json:"fields"`
}

// environmentJSON names what an expression may use. Everything that is absent is off, so that each library's absence can
// be compared too.
type environmentJSON struct {
	Variables             map[string]typeJSON `json:"variables"`
	HomogeneousAggregates bool                `json:"homogeneousAggregates"`
	Optionals             bool                `json:"optionals"`
	CrossTypeNumeric      bool                `json:"crossTypeNumeric"`
	// Strings is a version of ext.Strings; below zero is the newest, absent is none.
	Strings           *int `json:"strings"`
	KubernetesLists   bool `json:"kubernetesLists"`
	KubernetesRegex   bool `json:"kubernetesRegex"`
	LiteralValidators bool `json:"literalValidators"`
}

type environment struct {
	env       *cel.Env
	variables map[string]typeJSON
}

var environments = map[string]*environment{}

func environmentFor(raw json.RawMessage) (*environment, error) {
	if known, ok := environments[string(raw)]; ok {
		return known, nil
	}
	var wanted environmentJSON
	if err := json.Unmarshal(raw, &wanted); err != nil {
		return nil, err
	}
	built, err := buildEnvironment(wanted)
	if err != nil {
		return nil, err
	}
	environments[string(raw)] = built
	return built, nil
}

func buildEnvironment(wanted environmentJSON) (*environment, error) {
	options := []cel.EnvOption{cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true)}
	if wanted.HomogeneousAggregates {
		options = append(options, cel.HomogeneousAggregateLiterals())
	}
	if wanted.CrossTypeNumeric {
		options = append(options, cel.CrossTypeNumericComparisons(true))
	}
	if wanted.Optionals {
		options = append(options, cel.OptionalTypes(cel.OptionalTypesVersion(1)))
	}
	if wanted.Strings != nil && *wanted.Strings < 0 {
		options = append(options, ext.Strings())
	} else if wanted.Strings != nil {
		options = append(options, ext.Strings(ext.StringsVersion(uint32(*wanted.Strings))))
	}
	if wanted.KubernetesLists {
		options = append(options, library.Lists())
	}
	if wanted.KubernetesRegex {
		options = append(options, library.Regex())
	}
	if wanted.LiteralValidators {
		options = append(options, cel.ASTValidators(
			cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(),
			cel.ValidateRegexLiterals(),
			cel.ValidateHomogeneousAggregateLiterals(),
		))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(wanted.Variables))
	for name := range wanted.Variables {
		names = append(names, name)
	}
	sort.Strings(names)
	var objects []*apiservercel.DeclType
	var variables []cel.EnvOption
	for _, name := range names {
		declared := wanted.Variables[name]
		if declared.Kind == "object" {
			object := declType(declared)
			objects = append(objects, object)
			variables = append(variables, cel.Variable(name, object.CelType()))
			continue
		}
		variables = append(variables, cel.Variable(name, celType(declared)))
	}
	if len(objects) > 0 {
		provider := apiservercel.NewDeclTypeProvider(objects...)
		typeOptions, err := provider.EnvOptions(env.CELTypeProvider())
		if err != nil {
			return nil, err
		}
		variables = append(typeOptions, variables...)
	}
	env, err = env.Extend(variables...)
	if err != nil {
		return nil, err
	}
	return &environment{env: env, variables: wanted.Variables}, nil
}

func celType(t typeJSON) *cel.Type {
	switch t.Kind {
	case "bool":
		return cel.BoolType
	case "int":
		return cel.IntType
	case "uint":
		return cel.UintType
	case "double":
		return cel.DoubleType
	case "string":
		return cel.StringType
	case "bytes":
		return cel.BytesType
	case "null_type":
		return cel.NullType
	case "dyn":
		return cel.DynType
	case "timestamp":
		return cel.TimestampType
	case "duration":
		return cel.DurationType
	case "list":
		return cel.ListType(celType(*t.Element))
	case "map":
		return cel.MapType(celType(*t.Key), celType(*t.Value))
	case "optional":
		return cel.OptionalType(celType(*t.Value))
	default:
		panic(fmt.Sprintf("no such type: %s", t.Kind))
	}
}

func declType(t typeJSON) *apiservercel.DeclType {
	switch t.Kind {
	case "string":
		return apiservercel.StringType
	case "bool":
		return apiservercel.BoolType
	case "int":
		return apiservercel.IntType
	case "dyn":
		return apiservercel.DynType
	case "list":
		return apiservercel.NewListType(declType(*t.Element), -1)
	case "map":
		return apiservercel.NewMapType(declType(*t.Key), declType(*t.Value), -1)
	case "object":
		fields := make(map[string]*apiservercel.DeclField, len(t.Fields))
		for name, field := range t.Fields {
			fields[name] = apiservercel.NewDeclField(name, declType(field), false, nil, nil)
		}
		return apiservercel.NewObjectType(t.Name, fields)
	default:
		panic(fmt.Sprintf("no such field type: %s", t.Kind))
	}
}
