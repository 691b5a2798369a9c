import { agentStoreSuite } from "./AgentStoreSuite.ts"
import { backends } from "./backends.ts"

backends.forEach(agentStoreSuite)
