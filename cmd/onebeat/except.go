package main

import (
	"encoding/json"
	"time"

	"github.com/onebeat/onebeat/internal/store"
)

// An exceptFile is a flag that names a file of days off, which it reads.
type exceptFile struct {
	name string
	days []string
}

// String implements pflag.Value.
func (f *exceptFile) String() string { return f.name }

// Type implements pflag.Value.
func (f *exceptFile) Type() string { return "file" }

// Set implements pflag.Value.
func (f *exceptFile) Set(name string) error {
	span, err := spanOf("", "", time.Now())
	if err != nil {
		return err
	}
	found, err := readDaysOff(nil, name, span)
	if err != nil {
		return err
	}
	f.name = name
	for _, off := range found.Days {
		f.days = append(f.days, off.Day)
	}
	return nil
}

// into adds the days to those that the definition's rules leave out, each once. Rules that
// can't be read are left for the store to complain of.
func (f *exceptFile) into(d *store.Definition) {
	rules := map[string]json.RawMessage{}
	var except []string
	if d.Rules != "" && json.Unmarshal([]byte(d.Rules), &rules) != nil {
		return
	}
	if text, ok := rules["except"]; ok && json.Unmarshal(text, &except) != nil {
		return
	}
	there := map[string]bool{}
	for _, day := range except {
		there[day] = true
	}
	for _, day := range f.days {
		if !there[day] {
			except = append(except, day)
		}
	}
	var err error
	if rules["except"], err = json.Marshal(except); err != nil {
		return // texts always have a JSON form
	}
	if made, err := json.Marshal(rules); err == nil {
		d.Rules = string(made)
	}
}
