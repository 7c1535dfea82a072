// Goal: an event that must wait for an account is taken all the same, so that those behind it in its lane go on. Method: a
// stage of shards on which a chain holds an account locked; a look-up of one of its transfers is handed in, then others.
// (`AccountChainTests` has what waits for an account that is being created.)

import SuanpanCore
import Testing

@testable import SuanpanShard
@testable import SuanpanSimulator

@Test func aLookUpOfALockedAccountHoldsNobodyUp() throws {
    let stage = try Stage()
    let payer = try stage.account(on: 0, credits: 100)
    let other = try stage.account(on: 0, credits: 100)
    let payee = try stage.account(on: 1)
    let old = stage.transfer(payer, payee, 1)
    let elsewhere = stage.transfer(other, payee, 1)
    stage.ask(.transfer(old))
    stage.ask(.transfer(elsewhere))
    try stage.finish()
    var balancing = stage.transfer(payer, payee, 5)
    balancing.flags = .balancingDebit
    let chain = stage.ask(.transfer(balancing))
    try stage.settle(0)
    // The payer is locked, and stays so while nothing is delivered.
    let looks = [old, old, balancing].map { stage.ask(.lookupTransfer($0.debitAccountID, $0.id), stream: 0) }
    let behind = stage.ask(.lookupTransfer(other, elsewhere.id), stream: 7)
    let transfer = stage.ask(.transfer(stage.transfer(other, payer, 1)), stream: 8)
    for _ in 0..<3 {
        try stage.settle(0)
        try stage.sync(0)
    }
    #expect(looks.allSatisfy { stage.replies[$0] == nil } && stage.replies[chain] == nil)
    #expect(stage.replies[behind] != nil)
    try stage.finish()
    #expect(stage.code(chain) == .created && stage.code(transfer) == .created)
    for (look, asked) in zip(looks, [old, old, balancing]) {
        if case .transfer(.some(let found))? = stage.replies[look] {
            #expect(found.id == asked.id)
        } else {
            Issue.record("transfer \(asked.id.value) is not found")
        }
    }
    for node in stage.nodes {
        let isQuiet = node.shard.isQuiet
        #expect(isQuiet)
    }
}
