package web

import (
	"fmt"
	"strings"
	"time"
)

// texts are what the page says in one language. What nodes, checks and the ledger say is
// shown as they say it, which is in English.
type texts struct {
	Lang string

	Well, Ill          string // is all well?
	Node, Version      string
	At, Again          string // of the page; after how many seconds it is made again
	Busy               string
	Leads, Waits, None string // the one shard: its term; who leads it
	Unknown, NotKnown  string // who leads
	Shards             string
	Shard, Leader      string
	Term, Here, Nobody string
	Checks             string
	Check, State       string
	Detail             string
	Passed, Failed     string

	Aside, Loading           string
	NoneAside, SomeAside     string // of how many
	Name, Problem, MoreAside string

	Coming, NextSlots  string
	ComesOf, NoneComes string
	ComesElsewhere     string
	In, WillBeSkipped  string

	Runs, Latest            string
	Entry, AnyState, Show   string
	Slot, Task, Late        string
	Queue, Why              string
	Slots, Asked, Recovered string // why: how many slots, until when
	Unread, Older, NoRuns   string
	Exceptions, All, ByID   string
	Unreached               string

	Names map[string]string // of checks and states

	Length [4]string // days and hours, hours and minutes, minutes and seconds, seconds
}

var english = texts{
	Lang: "en",
	Well: "All is well", Ill: "Something is wrong",
	Node: "Node", Version: "Version",
	At: "As of", Again: "This page is made again each %d seconds.",
	Busy:  "Too many ask for this page at once: ask again in a moment.",
	Leads: "This node leads, in term %d.", Waits: "This node waits; %s leads.", None: "No node leads at the moment.",
	Unknown: "Who leads is not known until the database answers.", NotKnown: "not known",
	Shards: "Who leads which shard", Shard: "Shard", Leader: "Leader", Term: "Term", Here: "this node", Nobody: "none",
	Checks: "What sending depends on", Check: "Check", State: "State", Detail: "Detail",
	Passed: "ok", Failed: "failed",

	Loading: "Rows are being read.",
	Aside:   "Rows that are set aside", NoneAside: "None. Rows: %d.", SomeAside: "%d of %d rows cannot be used.",
	Name: "Entry", Problem: "What is wrong, and what to do", MoreAside: "And %d more: onebeat entries list --bad names them.",

	Coming: "What comes next", NextSlots: "The next slots",
	ComesOf: "Of the shards that this node leads.", NoneComes: "No entry has a slot to come.",
	ComesElsewhere: "The page of the node that leads shows it; onebeat forecast tells how many slots the coming time has.",
	In:             "In", WillBeSkipped: "will be skipped: %s",

	Runs: "What became of slots", Latest: "The latest runs of the ledger",
	Entry: "Entry", AnyState: "any state", Show: "Show",
	Slot: "Slot", Task: "Task", Late: "Late", Queue: "Queue", Why: "Why",
	Slots: "%d slots until %s", Asked: "asked for", Recovered: "recovered after a crash or a lost lease",
	Unread: "The ledger could not be read within three seconds: the checks above say whether the database answers. onebeat runs list takes the time that it needs.",
	Older:  "There may be older ones, which were not looked at: %s lists them.",
	NoRuns: "There is no such run.", Exceptions: "The ledger keeps exceptions only: slots that were sent are not in it.",
	All: "Show all", ByID: "name or id",
	Unreached: "Entries and runs are shown once the database has answered.",

	Names: map[string]string{
		"database": "database", "broker": "broker", "dispatch": "dispatch", "audit": "audit",
		"sent": "sent", "coalesced": "coalesced", "skipped": "skipped", "failed": "failed", "unsure": "unsure",
	},

	Length: [4]string{"%d d %d h", "%d h %d min", "%d min %d s", "%d s"},
}

var japanese = texts{
	Lang: "ja",
	Well: "正常です", Ill: "問題があります",
	Node: "ノード", Version: "バージョン",
	At: "表示時刻", Again: "このページは %d 秒ごとに更新されます。",
	Busy:  "アクセスが集中しています。しばらくしてからもう一度開いてください。",
	Leads: "このノードがリーダーです(term %d)。", Waits: "このノードは待機中です。リーダーは %s です。", None: "現在、リーダーのノードがありません。",
	Unknown: "データベースが応答するまで、リーダーはわかりません。", NotKnown: "不明",
	Shards: "シャードごとのリーダー", Shard: "シャード", Leader: "リーダー", Term: "term", Here: "このノード", Nobody: "なし",
	Checks: "送信に必要なものの状態", Check: "項目", State: "状態", Detail: "詳細",
	Passed: "正常", Failed: "異常",

	Loading: "行を読み込んでいます。",
	Aside:   "除外されている行", NoneAside: "ありません(全 %d 行)。", SomeAside: "%d 行(全 %d 行中)が使われていません。",
	Name: "エントリー", Problem: "原因と対処", MoreAside: "ほかに %d 行あります(onebeat entries list --bad で表示)。",

	Coming: "今後の予定", NextSlots: "次のスロット",
	ComesOf: "このノードがリーダーであるシャードの分です。", NoneComes: "今後のスロットはありません。",
	ComesElsewhere: "リーダーのノードのページに表示されます。今後のスロット数は onebeat forecast で調べられます。",
	In:             "あと", WillBeSkipped: "スキップされます: %s",

	Runs: "スロットの結果", Latest: "最新の記録",
	Entry: "エントリー", AnyState: "すべての状態", Show: "表示",
	Slot: "スロット", Task: "タスク", Late: "遅れ", Queue: "キュー", Why: "理由",
	Slots: "%d スロット(%s まで)", Asked: "手動実行", Recovered: "クラッシュまたはリース喪失後の復旧",
	Unread: "3 秒以内に記録を読めませんでした。データベースの状態は上の表を見てください。onebeat runs list なら時間をかけて読めます。",
	Older:  "これより古い記録は調べていません(%s で表示)。",
	NoRuns: "該当する記録はありません。", Exceptions: "例外だけを記録する設定です。送信済みのスロットは表示されません。",
	All: "すべて表示", ByID: "名前または ID",
	Unreached: "データベースに接続できると、エントリーと記録が表示されます。",

	Names: map[string]string{
		"database": "データベース", "broker": "ブローカー", "dispatch": "送信 (dispatch)", "audit": "監査 (audit)",
		"sent": "送信済み (sent)", "coalesced": "統合 (coalesced)", "skipped": "スキップ (skipped)", "failed": "失敗 (failed)", "unsure": "不明 (unsure)",
	},

	Length: [4]string{"%d日%d時間", "%d時間%d分", "%d分%d秒", "%d秒"},
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

// length says a length in its two largest units.
func (t *texts) length(d time.Duration) string {
	seconds := max(int64(d.Round(time.Second)/time.Second), 0)
	switch {
	case seconds < 60:
		return fmt.Sprintf(t.Length[3], seconds)
	case seconds < 3600:
		return fmt.Sprintf(t.Length[2], seconds/60, seconds%60)
	case seconds < 24*3600:
		return fmt.Sprintf(t.Length[1], seconds/3600, seconds/60%60)
	}
	return fmt.Sprintf(t.Length[0], seconds/(24*3600), seconds/3600%24)
}
