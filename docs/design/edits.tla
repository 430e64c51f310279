------------------------------- MODULE edits --------------------------------
(* What an edit of a spec, told of late, and a takeover make of an entry's      *)
(* slots: the planner of internal/plan, Entry.End and Seal of internal/schedule,*)
(* and Claims of internal/dispatch. That an old leader does no harm, and that a *)
(* recovery may be cut off, is dispatch.tla's: here there is one leader at a    *)
(* time, and its recovery is one step. Entries do not touch each other: there   *)
(* is one, and each of its slots is a batch of its own. A spec is the set of    *)
(* slots that it gives; an entry that is off gives none. A slot is also the     *)
(* time it comes.                                                               *)
EXTENDS Naturals, FiniteSets, Sequences, TLC

CONSTANTS
  Last,      \* slots are 1..Last
  Edits,     \* so many times the spec is edited
  Takeovers, \* so many times a node is lost and another goes on
  Open,      \* so many slots are in the journal at most
  Without    \* what is left out, to see that it is needed; "" for nothing

Slots == 1..Last

VARIABLES
  now,
  row,     \* the spec that the row has
  seen,    \* the database: the spec that was seen last, and since when it counts
  told,    \* what the leader has read, and its planner was not told of yet
  plan,    \* def: the definition that is planned, 0 while the entry is off; from; pos: what was handed over
           \* or passed by; owed: slots that are handed over next, as ended where def is 0
  defs,    \* all definitions of this leader, in order; gone: slots of an ended one that ended unsent,
           \* left: those that the definition of then is to answer for
  journal, \* claimed slots in order, and what came of each: the broker's mark and its notes
  last,    \* the database: the last slot that has ended
  got,     \* how often each slot arrived
  ends,    \* how many rows the ledger has of each
  lost,    \* slots that were withdrawn and that the journal does not tell of
  left

vars == <<now, row, seen, told, plan, defs, journal, last, got, ends, lost, left>>

Max(a, b) == IF a > b THEN a ELSE b
MaxOf(S) == CHOOSE x \in S \cup {0} : \A y \in S : y <= x
Next0(spec, t) == IF \E s \in spec : s > t THEN CHOOSE s \in spec : s > t /\ \A u \in spec : u > t => s <= u ELSE 0
Definition(spec) == [spec |-> spec, sealed |-> 0, ended |-> FALSE, by |-> 0, from |-> 0, handed |-> 0, gone |-> {}, left |-> {}]
Nothing == [is |-> FALSE, spec |-> {}, after |-> 0]

Init ==
  /\ now = 0 /\ row \in SUBSET Slots \ {{}} /\ last = 0 /\ told = Nothing /\ journal = <<>>
  /\ seen = [spec |-> row, after |-> 0]
  /\ plan = [def |-> 1, from |-> 0, pos |-> 0, owed |-> {}]
  /\ defs = <<Definition(row)>>
  /\ got = [s \in Slots |-> 0] /\ ends = [s \in Slots |-> 0]
  /\ lost = {} /\ left = [edits |-> Edits, takeovers |-> Takeovers]

Tick == now < Last /\ now' = now + 1 /\ UNCHANGED <<row, seen, told, plan, defs, journal, last, got, ends, lost, left>>

Edit ==
  /\ left.edits > 0 /\ left' = [left EXCEPT !.edits = @ - 1]
  /\ \E spec \in SUBSET Slots : spec # row /\ row' = spec
  /\ UNCHANGED <<now, seen, told, plan, defs, journal, last, got, ends, lost>>

(* The leader reads the row, and remembers what it saw: its slots count from now. *)
See ==
  /\ ~told.is /\ row # seen.spec
  /\ seen' = [spec |-> row, after |-> now]
  /\ told' = [is |-> TRUE, spec |-> row, after |-> Max(now, last)] \* an entry counts from its last slot that ended
  /\ UNCHANGED <<now, row, plan, defs, journal, last, got, ends, lost, left>>

Handed == \* up to where the present definition's slots were handed over
  LET next == Next0(defs[plan.def].spec, plan.pos)
  IN IF Without = "what was handed over" /\ next # 0 THEN next - 1 ELSE plan.pos

(* What the planner makes of slots of definitions that have ended, when the     *)
(* present one ends too: what was left to it and not handed over ends, unless   *)
(* the next one takes it. reach is up to where any slot was handed over.        *)
All == 1..Len(defs)
Left == UNION {defs[d].left : d \in All}
Had == IF plan.def = 0 THEN {} ELSE {s \in defs[plan.def].spec : s <= Handed}
Forsaken(takes) == IF Without = "what was left" THEN {} ELSE (Left \ Had) \ takes
Gone(takes) == IF Without = "what ended unsent" THEN {} ELSE UNION {defs[d].gone : d \in All} \cup Forsaken(takes)
Reach == MaxOf({defs[d].handed : d \in All})
Ended(takes) == {[slot |-> s, def |-> 0] : s \in Forsaken(takes)}
Resolve(of, takes) ==
  [d \in DOMAIN of |-> [of[d] EXCEPT !.left = (@ \ Had) \cap takes, !.gone = @ \cup ((of[d].left \ Had) \ takes)]]

(* The planner is told, any time later. *)
Tell ==
  /\ told.is /\ told' = Nothing
  /\ LET new == Len(defs) + 1
         old == plan.def
         start == Max(plan.from, told.after)
         sealed == IF old = 0 THEN 0 ELSE defs[old].sealed
         takes == {s \in told.spec : s > start}
         from == Max(start, sealed)
         gone == {s \in Gone(takes) : s > start}
         upto == Max(from, MaxOf(gone))
         ended == [defs EXCEPT ![old].ended = TRUE, ![old].handed = Handed, ![old].from = start, ![old].by = IF told.spec = {} THEN 0 ELSE new]
     IN CASE told.spec = {} /\ old = 0 -> UNCHANGED <<plan, defs>>
          [] told.spec = {} /\ old # 0 ->
               /\ defs' = Resolve(ended, {})
               /\ plan' = [def |-> 0, from |-> MaxOf({plan.from, sealed, Handed, Reach}), pos |-> 0, owed |-> plan.owed \cup Ended({})]
          [] told.spec # {} /\ old = 0 ->
               /\ defs' = Append(defs, Definition(told.spec))
               /\ plan' = [plan EXCEPT !.def = new, !.from = start, !.pos = start]
          [] OTHER ->
               /\ defs' = Append(Resolve(ended, takes), Definition(told.spec))
               /\ plan' = [def |-> new, from |-> from, pos |-> upto, owed |-> plan.owed \cup Ended(takes) \cup
                    {[slot |-> s, def |-> new] : s \in {u \in told.spec : u \notin gone /\
                       ((u > start /\ u < sealed /\ u \notin defs[old].spec) \/ (u > from /\ u <= upto))}}]
  /\ UNCHANGED <<now, row, seen, journal, last, got, ends, lost, left>>

Claimed(slot, def) == Append(journal, [slot |-> slot, def |-> def, came |-> IF def = 0 THEN "edited" ELSE "open"])

(* A slot is handed over, up to one before its time, and claimed. *)
Claim ==
  /\ Len(journal) < Open
  /\ \/ \E o \in plan.owed :
          /\ plan' = [plan EXCEPT !.owed = @ \ {o}]
          /\ journal' = Claimed(o.slot, o.def)
     \/ /\ plan.owed = {} /\ plan.def # 0
        /\ LET s == Next0(defs[plan.def].spec, plan.pos)
           IN s # 0 /\ s <= now + 1 /\ plan' = [plan EXCEPT !.pos = s] /\ journal' = Claimed(s, plan.def)
  /\ UNCHANGED <<now, row, seen, told, defs, last, got, ends, lost, left>>

(* Why a slot that was not sealed is not sent from an ended definition: another  *)
(* one had it handed over, or it is left to the present one, or it has ended.    *)
RECURSIVE Why(_, _)
Why(d, s) ==
  LET e == defs[d]
  IN IF e.by = 0 THEN "edited"
     ELSE IF s > e.from /\ s \in defs[e.by].spec /\ ~defs[e.by].ended THEN "left"
     ELSE IF s > e.from /\ s \in defs[e.by].spec /\ s <= defs[e.by].handed THEN "replaced"
     ELSE IF ~defs[e.by].ended THEN "edited"
     ELSE Why(e.by, s)

FirstOpen == CHOOSE i \in 1..Len(journal) : journal[i].came = "open" /\ \A j \in 1..(i-1) : journal[j].came # "open"

Publish ==
  /\ \E i \in 1..Len(journal) : journal[i].came = "open"
  /\ LET i == FirstOpen
         s == journal[i].slot
         d == journal[i].def
         came == IF s <= defs[d].sealed \/ ~defs[d].ended THEN "sent" ELSE Why(d, s)
     IN /\ s <= now
        /\ journal' = [journal EXCEPT ![i].came = IF came = "left" THEN "replaced" ELSE came]
        /\ got' = [got EXCEPT ![s] = IF came = "sent" THEN @ + 1 ELSE @]
        /\ defs' = CASE came = "sent" -> [defs EXCEPT ![d].sealed = Max(@, s)]
                     [] came = "edited" -> [defs EXCEPT ![d].gone = @ \cup {s}]
                     [] came = "left" -> [defs EXCEPT ![d].left = @ \cup {s}]
                     [] OTHER -> defs
  /\ UNCHANGED <<now, row, seen, told, plan, last, ends, lost, left>>

(* What was withdrawn waits until another claim has the slot, and that for it.   *)
Again(i) == \E j \in (i+1)..Len(journal) : journal[j].slot = journal[i].slot
Waits(i) == journal[i].came = "replaced" /\ ~Again(i) /\ Without # "the wait for another claim"

Record(i) ==
  /\ journal[i].came # "open" /\ ~Waits(i)
  /\ \A k \in 1..(i-1) : Waits(k) /\ journal[k].slot # journal[i].slot
  /\ journal' = SubSeq(journal, 1, i-1) \o SubSeq(journal, i+1, Len(journal))
  /\ LET c == journal[i]
     IN IF c.came = "replaced" THEN /\ lost' = IF Again(i) THEN lost ELSE lost \cup {c.slot}
                                    /\ UNCHANGED <<ends, last>>
        ELSE ends' = [ends EXCEPT ![c.slot] = @ + 1] /\ last' = Max(last, c.slot) /\ UNCHANGED lost
  /\ UNCHANGED <<now, row, seen, told, plan, defs, got, left>>

(* Claims.Settled: from when on the entry is planned, and what it owes before. *)
RECURSIVE Settled(_, _, _, _)
Settled(at, owed, named, sent) ==
  LET next == Next0(row, at)
  IN CASE next = 0 -> [from |-> at, owed |-> owed]
       [] next # 0 /\ next \in named -> Settled(next, owed, named, sent)
       [] next # 0 /\ next \notin named /\ next < sent /\ Without # "what was sent" -> Settled(next, owed \cup {next}, named, sent)
       [] OTHER -> [from |-> at, owed |-> owed]

RECURSIVE InOrder(_)
InOrder(S) == \* slots as claims of the first definition
  IF S = {} THEN <<>>
  ELSE LET s == CHOOSE s \in S : \A u \in S : s <= u
       IN <<[slot |-> s, def |-> 1, came |-> "open"]>> \o InOrder(S \ {s})

(* The leader is lost. Another reads the row and the journal, claims what was     *)
(* withdrawn and is given now, ends what else the journal names, and plans on.   *)
Takeover ==
  /\ left.takeovers > 0 /\ left' = [left EXCEPT !.takeovers = @ - 1]
  /\ LET Every == 1..Len(journal)
         after == IF row # seen.spec THEN now ELSE seen.after
         again == {i \in Every : Again(i)}
         withdrawn == {i \in Every \ again : journal[i].came = "replaced"}
         sent == MaxOf({journal[i].slot : i \in {k \in Every \ again : journal[k].came \in {"sent", "edited"}}})
         named == {journal[i].slot : i \in Every \ withdrawn}
         before == Settled(Max(after, last), {}, named, sent)
         Given(x, s) == s \in x.owed \/ (s \in row /\ s > x.from)
         unsent == {i \in Every \ again : journal[i].came \in {"open", "replaced"}}
         anew == {journal[i].slot : i \in {k \in unsent : Given(before, journal[k].slot)}}
         settled == Settled(Max(after, last), {}, named \cup anew, sent)
         none == (again \cap {i \in Every : journal[i].came \in {"open", "replaced"}}) \cup {i \in unsent : journal[i].slot \in anew}
         sends == {i \in Every \ none : journal[i].came = "open" /\ defs[journal[i].def].spec = row}
         ended == Every \ none
         Count(I, s) == Cardinality({i \in I : journal[i].slot = s})
     IN /\ seen' = [spec |-> row, after |-> after]
        /\ got' = [s \in Slots |-> got[s] + Count(sends, s)]
        /\ ends' = [s \in Slots |-> ends[s] + Count(ended, s)]
        /\ last' = MaxOf({last} \cup {journal[i].slot : i \in ended})
        /\ journal' = InOrder({s \in anew : ~Given(settled, s)})
        /\ IF row = {} THEN /\ plan' = [def |-> 0, from |-> 0, pos |-> 0, owed |-> {}] /\ defs' = <<>>
           ELSE /\ plan' = [def |-> 1, from |-> settled.from, pos |-> settled.from,
                            owed |-> {[slot |-> s, def |-> 1] : s \in settled.owed}]
                /\ defs' = <<Definition(row)>>
  /\ told' = Nothing
  /\ UNCHANGED <<now, row, lost>>

Next == Tick \/ Edit \/ See \/ Tell \/ Claim \/ Publish \/ Takeover \/ \E i \in 1..Len(journal) : Record(i)
Spec == Init /\ [][Next]_vars

NoDuplicate == \A s \in Slots : got[s] <= 1
OneEnd == \A s \in Slots : ends[s] <= 1

(* What was withdrawn is in the journal until another claim has it, and the     *)
(* planner will hand it over.                                                   *)
AnEnd ==
  /\ lost = {}
  /\ \A i \in 1..Len(journal) : Waits(i) =>
       \/ \E o \in plan.owed : o.slot = journal[i].slot
       \/ (plan.def # 0 /\ journal[i].slot \in defs[plan.def].spec /\ journal[i].slot > plan.pos)

(* Of the spec that is planned, no slot after it counts is passed over, but where a *)
(* later one has ended before it could be claimed.                                  *)
NoLoss ==
  plan.def # 0 /\ ~told.is /\ row = seen.spec =>
    \A s \in row : s > seen.after /\ s > last /\ s <= plan.pos =>
      \/ ends[s] > 0
      \/ \E i \in 1..Len(journal) : journal[i].slot = s
      \/ \E o \in plan.owed : o.slot = s
=============================================================================
