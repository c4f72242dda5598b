package sip

// nameTable finds a FieldID by nameHash; compactTable by the letter of the compact form in lower case.
var (
	nameTable    [128]FieldID
	compactTable [128]FieldID
)

func init() {
	for id := FieldOther + 1; id < fieldIDs; id++ {
		info := &fieldInfo[id]
		nameTable[nameHash([]byte(info.name))] = id
		if info.compact != 0 {
			compactTable[info.compact] = id
			compactTable[info.compact&^0x20] = id
		}
	}
}

// Factors of nameHash, found by search.
const (
	hashFirst  = 13
	hashLast   = 41
	hashMiddle = 50
)

// nameHash is free of collisions over the names in fieldInfo (TestNameHash) and blind to case. b is not empty.
func nameHash(b []byte) int {
	n := len(b)
	return (n + hashFirst*int(b[0]|0x20) + hashLast*int(b[n-1]|0x20) + hashMiddle*int(b[n/2]|0x20)) & (len(nameTable) - 1)
}

// lookupName returns the field called b, and whether b is spelled exactly as its canonical name, which is then a token.
func lookupName(b []byte) (id FieldID, exact bool) {
	if len(b) == 1 {
		if b[0] < 128 {
			id = compactTable[b[0]]
		}
		return id, false
	}
	id = nameTable[nameHash(b)]
	if string(b) == fieldInfo[id].name {
		return id, true
	}
	if id != FieldOther && spells(b, fieldInfo[id].name) {
		return id, false
	}
	return FieldOther, false
}

// FieldOf returns the field called name, in any case or in compact form, or FieldOther.
func FieldOf(name []byte) FieldID {
	if len(name) == 0 {
		return FieldOther
	}
	id, _ := lookupName(name)
	return id
}

// spells reports whether b is name in any case.
func spells(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i, c := range b {
		if lower(c) != lower(name[i]) {
			return false
		}
	}
	return true
}
