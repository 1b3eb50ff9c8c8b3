package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strconv"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apiserver/pkg/cel/lazy"
)

// bindingsOf turns JSON into what the expression reads: whole numbers are int, all others double, and a variable of an
// object type is the field map that Kubernetes' authenticator passes.
func bindingsOf(env *environment, bindings map[string]any) map[string]any {
	result := make(map[string]any, len(bindings))
	for name, value := range bindings {
		plain := native(value)
		declared := env.variables[name]
		fields, isMap := plain.(map[string]any)
		if declared.Kind == "object" && isMap {
			object := lazy.NewMapValue(types.NewObjectType(declared.Name))
			for field, fieldValue := range fields {
				object.Append(field, func(*lazy.MapValue) ref.Val {
					return types.DefaultTypeAdapter.NativeToValue(fieldValue)
				})
			}
			result[name] = object
			continue
		}
		result[name] = plain
	}
	return result
}

func native(value any) any {
	switch typed := value.(type) {
	case json.Number:
		if whole, err := strconv.ParseInt(typed.String(), 10, 64); err == nil {
			return whole
		}
		float, err := typed.Float64()
		if err != nil {
			panic(err)
		}
		return float
	case []any:
		list := make([]any, len(typed))
		for i, element := range typed {
			list[i] = native(element)
		}
		return list
	case map[string]any:
		result := make(map[string]any, len(typed))
		for key, element := range typed {
			result[key] = native(element)
		}
		return result
	default:
		return value
	}
}

// encode writes a value so that no two different CEL values look alike.
func encode(value ref.Val) any {
	switch typed := value.(type) {
	case types.Null:
		return map[string]any{"null": true}
	case types.Bool:
		return map[string]any{"bool": bool(typed)}
	case types.Int:
		return map[string]any{"int": strconv.FormatInt(int64(typed), 10)}
	case types.Uint:
		return map[string]any{"uint": strconv.FormatUint(uint64(typed), 10)}
	case types.Double:
		// NaN has many bit patterns and CEL tells none apart.
		if math.IsNaN(float64(typed)) {
			return map[string]any{"double": "NaN"}
		}
		return map[string]any{"double": fmt.Sprintf("%016x", math.Float64bits(float64(typed)))}
	case types.String:
		return map[string]any{"string": string(typed)}
	case types.Bytes:
		return map[string]any{"bytes": base64.StdEncoding.EncodeToString([]byte(typed))}
	case types.Timestamp:
		return map[string]any{"timestamp": fmt.Sprintf("%d.%09d", typed.Time.Unix(), typed.Time.Nanosecond())}
	case types.Duration:
		return map[string]any{"duration": strconv.FormatInt(int64(typed.Duration), 10)}
	case *types.Optional:
		if !typed.HasValue() {
			return map[string]any{"optional": nil}
		}
		return map[string]any{"optional": encode(typed.GetValue())}
	case *types.Type:
		return map[string]any{"type": typed.TypeName()}
	case traits.Mapper:
		entries := [][2]any{}
		for it := typed.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			entries = append(entries, [2]any{encode(key), encode(typed.Get(key))})
		}
		sort.Slice(entries, func(i, j int) bool { return text(entries[i][0]) < text(entries[j][0]) })
		return map[string]any{"map": entries}
	case traits.Lister:
		list := []any{}
		for it := typed.Iterator(); it.HasNext() == types.True; {
			list = append(list, encode(it.Next()))
		}
		return map[string]any{"list": list}
	default:
		return map[string]any{"other": fmt.Sprintf("%T", value)}
	}
}

func text(value any) string {
	written, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(written)
}
