#!/bin/sh
pfazure run create --file run.yml --resource-group rg-support --workspace-name ml-support
pf run visualize --names nightly
