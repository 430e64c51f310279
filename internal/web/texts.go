package web

import "strings"

// texts are what the page says in one language. What nodes, checks and the ledger say is
// shown as they say it, which is in English.
type texts struct {
	Lang string

	Well, Ill          string // is all well?
	Node, Version      string
	At, Again          string // of the page; after how many seconds it is made again
	Busy               string
	Leads, Waits, None string // the one shard: its term; who leads it
	Shards             string
	Shard, Leader      string
	Term, Here, Nobody string
	Checks             string
	Check, State       string
	Detail             string
	Passed, Failed     string
	Names              map[string]string // of checks
}

var english = texts{
	Lang: "en",
	Well: "All is well", Ill: "Something is wrong",
	Node: "Node", Version: "Version",
	At: "As of", Again: "This page is made again each %d seconds.",
	Busy:  "Too many ask for this page at once: ask again in a moment.",
	Leads: "This node leads, in term %d.", Waits: "This node waits; %s leads.", None: "No node leads at the moment.",
	Shards: "Who leads which shard", Shard: "Shard", Leader: "Leader", Term: "Term", Here: "this node", Nobody: "none",
	Checks: "What sending depends on", Check: "Check", State: "State", Detail: "Detail",
	Passed: "ok", Failed: "failed",
	Names: map[string]string{"database": "database", "broker": "broker", "dispatch": "dispatch", "audit": "audit"},
}

var japanese = texts{
	Lang: "ja",
	Well: "正常です", Ill: "問題があります",
	Node: "ノード", Version: "バージョン",
	At: "時点", Again: "このページは %d 秒ごとに更新されます。",
	Busy:  "アクセスが集中しています。しばらくしてからもう一度開いてください。",
	Leads: "このノードがリーダーです(term %d)。", Waits: "このノードは待機中です。リーダーは %s です。", None: "現在、リーダーのノードがありません。",
	Shards: "シャードごとのリーダー", Shard: "シャード", Leader: "リーダー", Term: "term", Here: "このノード", Nobody: "なし",
	Checks: "送信に必要なものの状態", Check: "項目", State: "状態", Detail: "詳細",
	Passed: "正常", Failed: "異常",
	Names: map[string]string{"database": "データベース", "broker": "ブローカー", "dispatch": "送信 (dispatch)", "audit": "監査 (audit)"},
}

// textsFor are those of the language that a header Accept-Language prefers of the two; English where it names neither.
func textsFor(accepted string) *texts {
	best, chosen := 0.0, &english
	preferences(accepted, func(language string, quality float64) {
		main, _, _ := strings.Cut(language, "-")
		for _, t := range []*texts{&english, &japanese} {
			if t.Lang == main && quality > best {
				best, chosen = quality, t
			}
		}
	})
	return chosen
}
