"""Pure: check a flow, choose an arm, order the graph, bind inputs, map columns → Plan.

A plan is made from data alone: tool signatures come in as ``ToolSpec`` values. No I/O and no asyncio here; an
import contract says so.
"""
