package http1

import (
	"strings"
	"testing"
)

func TestAHeaderOfManyFieldsIsNotKept(t *testing.T) {
	t.Parallel()
	fields, err := appendFields(nil, strings.Repeat("A: b\r\n", 10)+"\r\n")
	if err != nil || len(fields) != 10 {
		t.Fatalf("%d fields, %v", len(fields), err)
	}
	again := emptied(fields)
	if cap(again) == 0 || len(again) != 0 || fields[0] != (Field{}) {
		t.Errorf("a small one: room for %d, and the first is still %v", cap(again), fields[0])
	}
	many, err := appendFields(again, strings.Repeat("A: b\r\n", 1000)+"\r\n")
	if err != nil || len(many) != 1000 {
		t.Fatalf("%d fields, %v", len(many), err)
	}
	if left := cap(emptied(many)); left != 0 {
		t.Errorf("room for %d fields is kept", left)
	}
}

func TestValuesAreCheckedInEveryPlace(t *testing.T) {
	t.Parallel()
	for length := range 40 {
		for at := range length {
			for c := range 256 {
				value := []byte(strings.Repeat("\xffa", 20)[:length])
				value[at] = byte(c)
				want := c >= ' ' && c != 0x7f || c == '\t'
				if got := fieldValue(string(value)); got != want {
					t.Fatalf("%#x at %d of %d: %v, want %v", c, at, length, got, want)
				}
			}
		}
	}
}
