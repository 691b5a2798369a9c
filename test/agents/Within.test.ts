import * as Memory from "@holdfast/agents/Memory"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import { withinSuite } from "./WithinSuite.ts"

withinSuite("Memory", Memory.layer)
withinSuite("SQLite", Sqlite.layer({ filename: ":memory:" }))
